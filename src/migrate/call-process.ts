import { handleBetweenBatches, signalHandlers } from '../abort.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { toSent } from '../sent-error.js';
import type { BackfillDefinition } from '../steps/define.js';
import { startThread } from '../threads.js';
import type { Listening } from './beside.js';
import type { FromChild, SentCall, ToChild } from './child-call.js';
import { becomeChild, sqliteBeside } from './other-sqlite.js';

// The child process of child-call.ts: makes one call, posts its events, and stops if its parent ends.

type CallMessage = Extract<ToChild, { readonly sent: SentCall }>;

const stopper = new AbortController();
const handlers = signalHandlers((name) => stopper.abort(name));
let isBusy = false;

const tell = (message: FromChild): void => {
  if (process.connected) process.send?.(message, () => undefined); // the parent may have ended just now
};

/** Ends this process even if its parent ends while a function of the step keeps this thread from noticing. */
const watchParent = (parent: number): void => {
  const how = { workerData: parent, execArgv: [], env: {} };
  startThread(new URL('./orphan-thread.js', import.meta.url), how)?.unref();
};

/** Returns the backfill of a file. It must be the one that the parent has, except for its functions, which cannot be compared. */
async function loadBackfill(file: string, declared: string): Promise<BackfillDefinition> {
  const { loadStep } = await import('../steps/load.js');
  const { name: _, path: __, ...definition } = await loadStep(file);
  sqliteBeside(); // refuses what the file has loaded
  if (definition.kind === 'backfill' && JSON.stringify(definition) === declared) return definition;
  throw new BackfillError(
    'STEP_INVALID',
    msg('The default export of {file} is not the `backfill` that was passed to {what}', {
      file,
      what: 'backfillStep()',
    }),
    msg('Set `file` to the file that exports it: export default defineBackfill({ … })'),
  );
}

/** Makes the call, as a program would whose only copy of SQLite is this one. */
async function make(sent: SentCall, listening: Listening): Promise<unknown> {
  const { path: database } = sent;
  if (sent.call === 'up' || sent.call === 'down') {
    const { backfillStep } = await import('./backfill-step.js');
    const backfill = 'backfill' in sent ? sent.backfill : await loadBackfill(sent.file, sent.declared);
    return await backfillStep({ ...sent.settings, name: sent.name, database, backfill, ...listening })[
      sent.call
    ]();
  }
  const { importExecuted, ledgerStorage } = await import('./ledger-storage.js');
  if (sent.call === 'importExecuted') {
    const { from, dryRun } = sent;
    const source = 'table' in from ? from : { executed: async () => [...from] };
    return await importExecuted({ from: source, to: database, dryRun });
  }
  const storage = ledgerStorage(database);
  if (sent.call !== 'executed') return await storage[sent.call]({ name: sent.name });
  storage.attach({
    on: (event, listener) => event === 'beforeCommand' && listener({ command: sent.direction }),
  });
  return await storage.executed();
}

async function run({ sent, wantsEvents, parent }: CallMessage): Promise<void> {
  isBusy = true;
  if ('file' in sent) watchParent(parent);
  const listening: Required<Listening> = {
    signal: stopper.signal,
    onEvent: (event) => {
      handleBetweenBatches(event, handlers);
      if (wantsEvents) tell({ event });
    },
  };
  let reply: FromChild;
  try {
    reply = { result: await make(sent, listening) };
  } catch (error) {
    reply = { error: toSent(error) };
  }
  isBusy = false;
  if (!process.connected) process.exit();
  process.send?.(reply, () => process.exit()); // whatever the step's file has left open
}

becomeChild();
process.on('message', (message: ToChild) => {
  if ('sent' in message) void run(message);
  else stopper.abort(message.abortReason);
});
// The parent has ended: stop as a signal would.
process.on('disconnect', () => {
  if (isBusy) process.kill(process.pid, 'SIGTERM');
  else process.exit();
});
