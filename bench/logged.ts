import { bin, type Taken, time } from './measure.js';

/** Runs of the command line on a database of PostgreSQL, with the times in its log. */

/** Name of the schema step. */
export const SCHEMA = 'v021-1-decision-columns';
/** Name of the backfill. */
export const BACKFILL = 'v021-2-decision-fields';

/** Times of a step, as in `Date.now()`; NaN if the log does not have them. */
export interface StepSpan {
  readonly startedAt: number;
  readonly finishedAt: number;
}

interface LoggedEvent {
  readonly time: string;
  readonly event: string;
  readonly step?: string;
}

/** Returns what follows node's own path. */
export const commandLine = (url: string, args: readonly string[]): string[] => [
  bin,
  ...args,
  '--database-url',
  url,
  '--log-level',
  'info',
];

/** Reads a log of JSON lines, of which the last may not be complete. */
const eventsOf = (log: string): LoggedEvent[] =>
  log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LoggedEvent);

/** Returns when a step ran. */
export function spanOf(log: string, step = BACKFILL): StepSpan {
  const events = eventsOf(log);
  const at = (name: string): number =>
    Date.parse(events.find((found) => found.event === name && found.step === step)?.time ?? '');
  return { startedAt: at('step_started'), finishedAt: at('step_finished') };
}

/** Runs the command line on a database to its end. */
export async function run(url: string, ...args: readonly string[]): Promise<Taken & { stepSeconds: number }> {
  const { seconds, cpu, log } = await time(process.execPath, commandLine(url, args));
  const { startedAt, finishedAt } = spanOf(log);
  return { seconds, cpu, stepSeconds: (finishedAt - startedAt) / 1000 };
}
