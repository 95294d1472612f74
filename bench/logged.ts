import { bin, time } from './measure.js';

/** Runs of the command line on a database of PostgreSQL, with the times that its log tells. */

const BACKFILL = 'v021-2-decision-fields';

/** Times of the backfill's step, as in `Date.now()`, and of the verification; NaN where the log does not tell. */
export interface Logged {
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly verifyMs: number;
}

interface LoggedEvent {
  readonly time: string;
  readonly event: string;
  readonly step?: string;
  readonly durationMs?: number;
}

/** What follows node's own path. */
export const commandLine = (url: string, args: readonly string[]): string[] => [
  bin,
  ...args,
  '--database-url',
  url,
  '--log-level',
  'info',
];

/** Reads a log of JSON lines, of which the last may not be complete. */
export function readLog(log: string): Logged {
  const events = log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LoggedEvent);
  const at = (name: string): number =>
    Date.parse(events.find(({ event, step }) => event === name && step === BACKFILL)?.time ?? '');
  return {
    startedAt: at('step_started'),
    finishedAt: at('step_finished'),
    verifyMs: events.find(({ event }) => event === 'verified')?.durationMs ?? Number.NaN,
  };
}

/** Runs the command line on a database to its end. */
export async function run(
  url: string,
  ...args: readonly string[]
): Promise<{ seconds: number; stepSeconds: number; verifySeconds: number }> {
  const { seconds, log } = await time(process.execPath, commandLine(url, args));
  const { startedAt, finishedAt, verifyMs } = readLog(log);
  return { seconds, stepSeconds: (finishedAt - startedAt) / 1000, verifySeconds: verifyMs / 1000 };
}
