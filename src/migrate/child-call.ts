import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ABORT_POLL_MS } from '../abort.js';
import { isData, loaderOptions } from '../child-process.js';
import { BackfillError, rootBackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { fromSent, type SentError } from '../sent-error.js';
import { classOf } from '../thrown.js';
import type { LedgerCall, Listening, StepCall } from './beside.js';
import type { MigratorEvent } from './options.js';
import { loadedTwice } from './other-sqlite.js';

/** A call as data: a backfill with functions is represented by its file. */
export type SentCall =
  | LedgerCall
  | Omit<StepCall, 'file'>
  /** `declared`: the backfill as JSON, without its functions. */
  | (Omit<StepCall, 'backfill' | 'file'> & { readonly file: string; readonly declared: string });

/** Message to the child. */
export type ToChild =
  /** `parent`: PID of the sender. */
  | { readonly sent: SentCall; readonly wantsEvents: boolean; readonly parent: number }
  | { readonly abortReason: string };

/** Message from the child. */
export type FromChild =
  | { readonly event: MigratorEvent }
  | { readonly result: unknown }
  | { readonly error: SentError };

/**
 * Runs a call in a child process, which has one copy of SQLite. Events, the abort signal and errors pass between the two, so that it looks like a
 * call in this process.
 *
 * The child has a separate process group, so that Ctrl-C in a terminal reaches it through this process alone. If this process ends, for whatever
 * reason, the child stops after its current batch.
 *
 * @param other the other copy of SQLite in this process, for messages
 * @returns the result, once the child has ended and released its locks
 */
export async function callInChild(
  other: string,
  call: StepCall | LedgerCall,
  { signal, onEvent }: Listening,
): Promise<unknown> {
  const sent = asData(other, call);
  const child = start(other, 'file' in sent);
  let reply: Exclude<FromChild, { readonly event: MigratorEvent }> | undefined;
  let thrown: { readonly error: unknown } | undefined; // by the listener
  const send = (message: ToChild): void => void child.send(message, () => undefined); // its end is reported below
  child.on('message', (message: FromChild) => {
    if (!('event' in message)) {
      reply = message;
      return;
    }
    try {
      if (!thrown) onEvent?.(message.event);
    } catch (error) {
      thrown = { error };
      send({ abortReason: 'a listener' });
    }
  });
  const abort = (): void => {
    if (!signal?.aborted) return;
    clearInterval(poll);
    send({ abortReason: String(signal.reason) });
  };
  const poll = signal && setInterval(abort, ABORT_POLL_MS);
  abort(); // before the call is sent, which must not begin then
  send({ sent, wantsEvents: onEvent !== undefined, parent: process.pid });
  let how: string;
  try {
    how = await ended(child);
  } catch (error) {
    throw cannotStart(other, error);
  } finally {
    clearInterval(poll);
  }
  if (thrown) throw rootBackfillError(thrown.error);
  if (reply && 'result' in reply) return reply.result;
  throw reply ? fromSent(reply.error) : lost(how);
}

function asData(other: string, call: StepCall | LedgerCall): SentCall {
  if (!('backfill' in call)) return call;
  const { backfill, file, ...rest } = call;
  if (isData(backfill)) return { ...rest, backfill };
  if (file !== undefined) return { ...rest, file, declared: JSON.stringify(backfill) };
  throw loadedTwice(
    other,
    msg(
      'Set `file` of {what} to the file whose default export is its `backfill`: the step then runs in a child process, to which functions cannot be sent',
      { what: 'backfillStep()' },
    ),
  );
}

/** Starts the child, with the loaders of this process only if a file must be loaded: any other code could load another copy of SQLite. */
function start(other: string, loadsFile: boolean): ChildProcess {
  const { NODE_OPTIONS, ...env } = process.env;
  try {
    return fork(fileURLToPath(new URL('./call-process.js', import.meta.url)), [], {
      execArgv: loadsFile ? loaderOptions(process.execArgv) : [],
      env: loadsFile ? process.env : env,
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  } catch (error) {
    throw cannotStart(other, error);
  }
}

/** Waits until a child has ended and its last message has arrived. Returns its signal or exit code. Throws if it did not start. */
async function ended(child: ChildProcess): Promise<string> {
  const [[code, signal]] = await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  return String(signal ?? `exit code ${code}`);
}

const cannotStart = (path: string, error: unknown): BackfillError =>
  new BackfillError(
    'SQLITE_LOADED_TWICE',
    msg(
      'This process has loaded another copy of SQLite, {path}, and a child process, which would have one copy, cannot be started ({reason})',
      { path, reason: classOf(error) },
    ),
    msg('Run umzug-backfill up as a second process'),
    { cause: error },
  );

const lost = (how: string): BackfillError =>
  new BackfillError(
    'WORKER_LOST',
    msg('The process that worked on this store has ended ({how}); every committed batch is kept', { how }),
    msg('Run the same command again; it resumes where it stopped'),
  );
