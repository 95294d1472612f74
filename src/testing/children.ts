import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BackfillError, type ErrorCode } from '../errors.js';
import { BackfillTestError } from './failure.js';
import type { FaultInjector, Interruption } from './fault-injector.js';
import type { Subject } from './options.js';

/** What a child needs to know before it is asked for anything: the definition itself, or its file. */
export type Task = Omit<Subject, 'step'> & {
  readonly step: Partial<Subject['step']> & { readonly name: string };
};

/** What a child is to do. */
export interface FaultRequest extends Interruption {
  readonly path: string;
}

/** How a child has ended that was not killed. */
export type ChildResult =
  | { readonly isDone: true }
  | { readonly error: { readonly code: ErrorCode; readonly message: string; readonly hint: string } };

/** Whether a definition is data alone, so that it can be handed to another process. */
export function isData(value: unknown): boolean {
  if (typeof value === 'function') return false;
  return typeof value !== 'object' || value === null || Object.values(value).every(isData);
}

/** Interrupts by SIGKILL, in processes that load the step's file. One is always starting while another works. */
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
  child.on('error', () => undefined); // it can't be reached any more: that is seen when it has ended
  child.send(task);
  return child;
}

/** Gives a child its order, and waits until it has ended. */
async function ending(child: ChildProcess, order: FaultRequest): Promise<'interrupted' | 'done'> {
  let report: ChildResult | undefined;
  child.on('message', (message) => {
    report = message as ChildResult;
  });
  const ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')]); // all that it has sent has arrived then
  child.send(order);
  const [[code, signal]] = (await ended) as [[number | null, string | null], unknown];
  if (report === undefined) {
    if (signal === 'SIGKILL') return 'interrupted';
    throw new BackfillTestError(
      'PROCESS_ENDED',
      `The process that was to run \`${order.direction}\` ended by itself, with ${signal ?? `exit code ${code}`}`,
    );
  }
  if ('isDone' in report) return 'done';
  const { error } = report;
  throw new BackfillError(error.code, error.message, error.hint);
}

/** Those of Node's options that say how files are loaded: a step may need them. Others are the test runner's own. */
export function loaderOptions(options: readonly string[]): string[] {
  const isLoader =
    /^(?:--import|--require|-r|--loader|--experimental-loader|--conditions|-C)(?:=|$)|^--(?:no-)?experimental-(?:strip|transform)-types$/;
  return options.flatMap((option, i) => {
    if (!isLoader.test(option)) return [];
    return option.includes('=') || option.endsWith('-types') ? [option] : [option, options[i + 1] ?? ''];
  });
}
