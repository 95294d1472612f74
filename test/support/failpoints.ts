import { readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type CliOptions, type CliResult, runCli } from './cli.js';

// Ends or disturbs a command right where it is between two durable effects: see failpoint-hook.mjs.

const hook = fileURLToPath(new URL('failpoint-hook.mjs', import.meta.url));

/** Which point: the nth of those that match. */
export interface Point {
  readonly at?: string;
  /** How its detail begins. */
  readonly detail?: string;
  /** Default 1. */
  readonly nth?: number;
}

/** Options under which a command runs with a listener on its failpoints. */
export const listening = (spec: object, options: CliOptions = {}): CliOptions => ({
  ...options,
  env: {
    ...options.env,
    NODE_OPTIONS: `--import ${hook}`,
    UMZUG_BACKFILL_FAILPOINT: JSON.stringify(spec),
  },
});

/** Runs a command that kills itself at a point, and insists that it does. */
export async function killedAt(
  args: readonly string[],
  point: Point,
  options?: CliOptions,
): Promise<CliResult> {
  const result = await runCli(args, listening(point, options));
  expect(result.signal, `${JSON.stringify(point)}\n${result.stdout}${result.stderr}`).to.equal('SIGKILL');
  return result;
}

/** Runs a command in which another command runs, and is waited for, at a point. */
export const interruptedAt = (
  args: readonly string[],
  point: Point,
  run: readonly string[],
  options?: CliOptions,
): Promise<CliResult> => runCli(args, listening({ ...point, run }, options));

/** Runs a command to its end, and returns every point that it passed, in order. */
export async function pointsOf(
  args: readonly string[],
  file: string,
  options?: CliOptions,
): Promise<{ readonly at: string; readonly detail: string }[]> {
  rmSync(file, { force: true });
  const result = await runCli(args, listening({ record: file }, options));
  expect(result.code, result.stdout + result.stderr).to.equal(0);
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [at = '', detail = ''] = line.split('\t');
      return { at, detail };
    });
}
