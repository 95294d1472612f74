import { subscribe } from 'node:diagnostics_channel';
import { FAILPOINT_CHANNEL, type Failpoint } from '../failpoint.js';
import { LEDGER_TABLES } from '../ledger/tables.js';
import { toSent } from '../sent-error.js';
import { loadStep } from '../steps/load.js';
import type { ChildResult, FaultRequest, Task } from './fault-injector.js';
import type { Subject } from './options.js';
import { runDown, runUp } from './store.js';

// A process, started by fault-injector.ts, that runs `up` or `down` of a backfill and kills itself in the middle.

let subject: Promise<Subject> | undefined;

async function load({ file, step, ...rest }: Task): Promise<Subject> {
  const loaded = file === undefined ? step : { ...(await loadStep(file)), name: step.name };
  return { ...rest, file, step: loaded as Subject['step'] };
}

/** The ledger statement of a batch, after its updates of the table and in the same transaction. */
const BATCH = { up: `INSERT INTO ${LEDGER_TABLES.batches}`, down: `DELETE FROM ${LEDGER_TABLES.batches}` };

function killAt({ direction, at: wanted }: FaultRequest): void {
  let isInBatch = false;
  subscribe(FAILPOINT_CHANNEL, (message) => {
    const { at, detail } = message as Failpoint;
    isInBatch ||= at === 'statement' && detail.trimStart().startsWith(BATCH[direction]);
    if (isInBatch && (wanted === 'in a batch' || at === 'commit')) process.kill(process.pid, 'SIGKILL');
  });
}

async function run(order: FaultRequest): Promise<ChildResult> {
  try {
    killAt(order);
    await (order.direction === 'up' ? runUp : runDown)((await subject) as Subject, order.path);
    return { isDone: true };
  } catch (error) {
    return { error: toSent(error) };
  }
}

process.on('message', (message: Task | FaultRequest) => {
  if ('step' in message) {
    subject = load(message);
    subject.catch(() => undefined); // reported when it is awaited
  } else {
    void run(message).then((report) => process.send?.(report, () => process.disconnect()));
  }
});
process.on('disconnect', () => process.exit());
