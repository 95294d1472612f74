import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loaderOptions } from '../child-process.js';
import { type Session, withStore } from '../migrate/session.js';
import { revertBackfillStep } from '../run/revert.js';
import { applyBackfillStep } from '../run/runner.js';
import { fromSent, type SentError } from '../sent-error.js';
import { BackfillTestError } from './failure.js';
import type { Subject } from './options.js';
import { runOptions } from './store.js';

/** The point of an interruption: in the transaction of the next batch, or just after its COMMIT. */
export interface Interruption {
  readonly direction: 'up' | 'down';
  readonly at: 'in a batch' | 'after a batch';
}

/** Runs a backfill and interrupts it. */
export interface FaultInjector {
  /** The means of interruption. */
  readonly by: 'SIGKILL' | 'exception';
  /** Runs the backfill on a store. Returns `done` if no batch was left to interrupt. */
  readonly run: (path: string, interruption: Interruption) => Promise<'interrupted' | 'done'>;
  readonly close: () => Promise<void>;
}

class Thrown extends Error {}

/** Returns a ledger that throws after recording or deleting a batch, in the batch's transaction. */
function throwingLedger(ledger: Session['ledger']): Session['ledger'] {
  return {
    ...ledger,
    in: (tx) => throwingLedger(ledger.in(tx)),
    async addBatch(...batch) {
      await ledger.addBatch(...batch);
      throw new Thrown();
    },
    async removeBatch(...batch) {
      await ledger.removeBatch(...batch);
      throw new Thrown();
    },
  };
}

/** Interrupts by an exception in this process: for definitions with functions, which cannot be sent to another process. */
export const throwing = (subject: Subject): FaultInjector => ({
  by: 'exception',
  async run(path, { direction, at }) {
    const onEvent = ({ event }: { readonly event: string }): void => {
      if (event === 'batch_committed' || event === 'batch_reverted') throw new Thrown();
    };
    const options = { ...runOptions(subject, path), onEvent };
    const act = direction === 'up' ? applyBackfillStep : revertBackfillStep;
    try {
      await withStore(options, 'write', async ({ store, ledger: own }) => {
        const ledger = at === 'in a batch' ? throwingLedger(own) : own;
        await act({ store, ledger, backfill: subject.step, options });
      });
      return 'done';
    } catch (error) {
      if (error instanceof Thrown) return 'interrupted';
      throw error;
    }
  },
  close: async () => undefined,
});

/** First message to a child: the definition, or its file. */
export type Task = Omit<Subject, 'step'> & {
  readonly step: Partial<Subject['step']> & { readonly name: string };
};

/** Request to a child. */
export interface FaultRequest extends Interruption {
  readonly path: string;
}

/** Message from a child that was not killed. */
export type ChildResult = { readonly isDone: true } | { readonly error: SentError };

/** Interrupts by SIGKILL, in processes that load the step's file. Starts the next process while one works. */
export function killing(subject: Subject): FaultInjector {
  const { step, ...rest } = subject;
  const task: Task = { ...rest, step: subject.file === undefined ? step : { name: step.name } };
  let next = start(task);
  return {
    by: 'SIGKILL',
    async run(path, interruption) {
      const child = next;
      next = start(task);
      return await ending(child, { ...interruption, path });
    },
    async close() {
      const ended = hasEnded(next) ? undefined : once(next, 'exit');
      next.kill('SIGKILL');
      await ended;
    },
  };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode !== null || signalCode !== null;

function start(task: Task): ChildProcess {
  const script = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url));
  const child = fork(script, [], {
    execArgv: loaderOptions(process.execArgv),
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.on('error', () => undefined); // the child has ended, which its exit event reports
  child.send(task);
  return child;
}

/** Sends a child its request, and waits until it has ended. */
async function ending(child: ChildProcess, order: FaultRequest): Promise<'interrupted' | 'done'> {
  let report: ChildResult | undefined;
  child.on('message', (message) => {
    report = message as ChildResult;
  });
  const ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')]); // its messages arrive before `disconnect`
  child.send(order);
  const [[code, signal]] = (await ended) as [[number | null, string | null], unknown];
  if (report === undefined) {
    if (signal === 'SIGKILL') return 'interrupted';
    throw new BackfillTestError(
      'PROCESS_ENDED',
      `The process for \`${order.direction}\` ended by itself, with ${signal ?? `exit code ${code}`}`,
    );
  }
  if ('isDone' in report) return 'done';
  throw fromSent(report.error);
}
