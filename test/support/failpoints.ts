import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type CliResult, root, type SpawnOptions, spawnCli } from './cli.js';

// Ends or disturbs a command right where it is between two durable effects: see failpoint-hook.mjs.

const hook = join(root, 'test/support/failpoint-hook.mjs');

/** Calls `tell` at every failpoint that this process passes while `act` runs. */
export async function passing<Result>(
  tell: (point: { readonly at: string; readonly detail: string }) => void,
  act: () => Promise<Result>,
): Promise<Result> {
  const listener = (point: unknown): void => {
    if (typeof point === 'object' && point !== null && 'at' in point && 'detail' in point)
      tell({ at: String(point.at), detail: String(point.detail) });
  };
  subscribe('umzug-backfill:failpoint', listener);
  try {
    return await act();
  } finally {
    unsubscribe('umzug-backfill:failpoint', listener);
  }
}

/** Which point: the nth of those that match. */
export interface Point {
  readonly at?: string;
  /** How its detail begins. */
  readonly detail?: string;
  /** Default 1. */
  readonly nth?: number;
}

/** Options under which a command runs with a listener on its failpoints. */
export const listening = (spec: object, options: SpawnOptions = {}): SpawnOptions => ({
  ...options,
  env: {
    ...options.env,
    NODE_OPTIONS: `--import ${hook}`,
    UMZUG_BACKFILL_FAILPOINT: JSON.stringify(spec),
  },
});

/** Runs a command that kills itself at a point, and insists that it does. */
export async function killedAt(args: readonly string[], point: Point, options?: SpawnOptions) {
  const result = await spawnCli(args, listening(point, options));
  expect(result.signal, `${JSON.stringify(point)}\n${result.stdout}${result.stderr}`).to.equal('SIGKILL');
  return result;
}

/** Runs a command in which another command runs, and is waited for, at a point. */
export const interruptedAt = (
  args: readonly string[],
  point: Point,
  run: readonly string[],
  options?: SpawnOptions,
): Promise<CliResult> => spawnCli(args, listening({ ...point, run }, options));

/** Runs a command to its end, and returns every point that it passed, in order. */
export async function pointsOf(args: readonly string[], file: string) {
  rmSync(file, { force: true });
  const result = await spawnCli(args, listening({ record: file }));
  expect(result.code, result.stdout + result.stderr).to.equal(0);
  return readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [at = '', detail = ''] = line.split('\t');
      return { at, detail };
    });
}
