import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { bytesOf } from './cli.js';
import { expectIntact, expectLedger } from './expect-ledger.js';
import { passing } from './failpoints.js';
import { readLedger } from './ledger.js';
import {
  catchUp,
  checkOf,
  codeOf,
  down,
  type Extra,
  name,
  only,
  project,
  rescan,
  troubles,
  up,
  verify,
} from './migrate.js';
import { oracle } from './oracle-words.js';
import { commandsOf } from './project.js';
import { actualCells, type Cells, expectedCells, targets } from './reference.js';
import { change, dumpTable } from './stores.js';

// Stores in which SQLite refuses to update some rows: what must hold from `up` to `down`, whatever it is that refuses.

/** What is recorded of a row that can not be filled. */
export interface Blocked {
  readonly key: number | bigint;
  /** A column, or `*` for the whole row. */
  readonly target: string;
  readonly reason: string;
}

/** Something that refuses the updates of some rows, and the end of it. */
export interface Obstacle {
  /** SQL on the store at v21, before anything is filled. */
  readonly block: string;
  /** SQL after which every row can be filled. It may change payloads, and no cell of ours. */
  readonly unblock: string;
  readonly blocked: readonly Blocked[];
  /** Default 16. */
  readonly batchRows?: number;
  /** Called after each `up` that has met the obstacle. */
  readonly check?: (path: string) => void;
}

/** A trigger that refuses the update of some rows, or with `RAISE(IGNORE)` swallows it. */
export const refusing = (
  keys: readonly Blocked['key'][],
  raise: string,
  { time = 'BEFORE', trigger = 'refusing' } = {},
): string =>
  `CREATE TRIGGER ${trigger} ${time} UPDATE ON task_audits WHEN old.audit_id IN (${keys.join(', ')})
  BEGIN SELECT RAISE(${raise}); END`;

/** A skip of each of these rows as a whole. */
export const rows = (keys: readonly Blocked['key'][], reason: string): Blocked[] =>
  keys.map((key) => ({ key, target: '*', reason }));

/** A skip of each cell of these rows. */
export const cells = (keys: readonly Blocked['key'][], reason: string): Blocked[] =>
  keys.flatMap((key) => targets.map(({ column }) => ({ key, target: column, reason })));

/** What the oracle says each cell must hold, but that blocked ones stay as they are. */
export function cellsAround(path: string, blocked: readonly Blocked[]): Map<string, Cells> {
  const before = actualCells(path);
  const expected = expectedCells(path);
  for (const { key, target } of blocked) {
    const [at, filled] = [before.get(String(key)), expected.get(String(key))];
    if (!at || !filled) throw new Error(`Expected a row with key ${key}`);
    const stays = (i: 0 | 1): boolean => target === '*' || target === targets[i].column;
    expected.set(String(key), [stays(0) ? at[0] : filled[0], stays(1) ? at[1] : filled[1]]);
  }
  return expected;
}

/** A list of skips as `key target reason`, sorted. */
export const skipTexts = (
  found: readonly { key: string | number | bigint; target: string; reason: string }[],
): string[] => found.map(({ key, target, reason }) => `${key} ${target} ${reason}`).sort();

/** The same of what must be recorded as skipped: what the oracle says, and the blocked rows. */
export function skipsAround(path: string, blocked: readonly Blocked[]): string[] {
  const isBlocked = new Set(blocked.map(({ key }) => String(key)));
  const own = [...oracle(path).skips].flatMap(([key, found]) =>
    isBlocked.has(key) ? [] : found.map((skip) => `${key} ${skip.replace(':', '')}`),
  );
  return [...own, ...skipTexts(blocked)].sort();
}

/** The skips as the command lists them. */
export async function recordedSkips(path: string): Promise<string[]> {
  return skipTexts(only(await commandsOf(project, { path }).skips(name)).skips);
}

/** How many cells of each column the verification counts as refused; `verdict` is that of the check that counts them. */
export async function refusedCells(path: string, verdict: 'pass' | 'warn'): Promise<number[]> {
  const verification = await verify(path);
  expect(verification.verdict, JSON.stringify(troubles(verification))).not.to.equal('fail');
  const coverage = checkOf(verification, 'coverage');
  expect(coverage.verdict).to.equal(verdict);
  const { columns } = coverage.stats as { columns: { refused: number }[] };
  return columns.map(({ refused }) => refused);
}

/** Insists that table, ledger and skips are what they must be, and that no batch was made twice. */
export async function expectAround(
  path: string,
  before: Map<string, Cells>,
  expected: { readonly cells: Map<string, Cells>; readonly skips: readonly string[]; readonly runs: number },
): Promise<void> {
  expect(actualCells(path)).to.deep.equal(expected.cells);
  expectLedger(path, before, expected.runs);
  expect(readLedger(path).runs(name)).to.have.lengthOf(expected.runs);
  expectIntact(path);
  expect(await recordedSkips(path)).to.deep.equal(expected.skips);
}

/** Calls `act`, and tells `each` how often a batch was begun meanwhile, rolled back or not. */
export async function counting<Result>(act: () => Promise<Result>, each: (tries: number) => unknown) {
  let tries = 0;
  return await passing(({ detail }) => {
    if (!detail.startsWith('INSERT INTO temp.umzug_backfill_batch')) return;
    tries += 1;
    each(tries);
  }, act);
}

/** Applies the schema step alone. */
export async function toV21(path: string): Promise<void> {
  expect(codeOf(await up(path, { backup: false }, { step: 1 }))).to.equal(undefined);
}

/**
 * Takes a v20 store through everything: `up` around the obstacle, commands that leave the skips alone,
 * `down`, `up` again, a rescan once the obstacle is gone, and `down`.
 */
export async function expectAroundObstacle(path: string, obstacle: Obstacle): Promise<void> {
  const { block, unblock, blocked, check } = obstacle;
  const extra: Extra = { batchRows: obstacle.batchRows ?? 16, allowTriggers: true, backup: false };
  await toV21(path);
  change(path, block);
  const pristine = `${path}.pristine`;
  copyFileSync(path, pristine);
  const [before, dump] = [actualCells(path), dumpTable(path)];
  const around = { cells: cellsAround(path, blocked), skips: skipsAround(path, blocked), runs: 1 };
  const whole = expectedCells(path);
  const perColumn = ([0, 1] as const).map(
    (i) => [...whole].filter(([key, filled]) => filled[i] !== around.cells.get(key)?.[i]).length,
  );

  for (const isLast of [false, true]) {
    expect(codeOf(await up(path, extra))).to.equal(undefined);
    await expectAround(path, before, around);
    expect(await refusedCells(path, 'warn')).to.deep.equal(perColumn);
    check?.(path);
    const bytes = bytesOf(path);
    for (const command of [up, catchUp]) expect(codeOf(await command(path, extra))).to.equal(undefined);
    expect(bytesOf(path), 'recorded skips are left alone').to.deep.equal(bytes);
    if (isLast) break;
    expect(codeOf(await down(path, {}, extra))).to.equal(undefined);
    expect(dumpTable(path)).to.deep.equal(dump);
  }

  for (const file of [path, pristine]) change(file, unblock);
  const all = { cells: expectedCells(path), skips: skipsAround(path, []), runs: 2 };
  expect(codeOf(await rescan(path, extra))).to.equal(undefined);
  await expectAround(path, before, all);
  expect(await refusedCells(path, all.skips.length > 0 ? 'warn' : 'pass')).to.deep.equal([0, 0]);
  expect(codeOf(await down(path, {}, extra))).to.equal(undefined);
  expect(dumpTable(path)).to.deep.equal(dumpTable(pristine));
}
