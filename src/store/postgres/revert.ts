import type { Backfill } from '../../backfill/define.js';
import { BackfillError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { countKeys, type Key } from '../../ledger/keys.js';
import { type FilledCells, type FoundCells, updateIgnored } from '../batch.js';
import type { Store } from '../port.js';
import { foldCase, identifier, literal } from '../sql.js';
import { derivationSql, targetTypes } from './derive.js';
import { keyTypeOf } from './key-type.js';
import { keySql } from './keys.js';
import { isSameSql, type RawRow, resolveRaw, valuesSql } from './resolve.js';
import { EQ, operator } from './texts.js';

interface Target {
  readonly name: string;
  /** Its number among the backfill's columns. */
  readonly i: number;
}

/** Sets cells that a batch filled to NULL where they still hold what the row derives. */
export async function revertCells(
  store: Store,
  backfill: Backfill,
  { columns: filled, runs, absent }: FilledCells,
): Promise<FoundCells> {
  const names = filled.filter((name) => !absent.has(foldCase(name)));
  const gone = countKeys(runs) * (filled.length - names.length);
  if (names.length === 0 || runs.length === 0) return { reverted: 0, others: 0, gone };
  const columns = names.map((name) => ({
    name: identifier(name),
    i: backfill.columns.findIndex((column) => column.name === name),
  }));
  if (columns.some(({ i }) => i < 0)) {
    throw new BackfillError(
      'STEP_DRIFTED',
      `${backfill.name} has filled ${names.join(', ')}, and its declaration does not say how any more`,
      'Put the step file back as it was applied, then run the same command again',
    );
  }
  const key = await keySql(store, backfill);
  const rows = await derivationSql(store, backfill, {
    absent,
    from: `pg_catalog.unnest(${await keyArray(store, backfill, runs)}) AS r(umzug_key) JOIN ${identifier(backfill.table)} AS t ON ${key} ${EQ} r.umzug_key`,
    tail: '',
  });
  const plain = await undo(store, backfill, columns, `SELECT * FROM (${rows}) AS derived WHERE raw IS NULL`);
  const left = await rawRows(store, rows);
  const own =
    left.length === 0
      ? { rows: 0, reverted: 0, others: 0 }
      : await undo(store, backfill, columns, await rawSql(store, backfill, left, absent));
  const found = plain.rows + own.rows;
  return {
    reverted: plain.reverted + own.reverted,
    others: plain.others + own.others,
    gone: gone + (countKeys(runs) - found) * names.length,
  };
}

/** The keys of some runs, each of them: the planner knows how many there are, and looks each up by itself. */
async function keyArray(store: Store, backfill: Backfill, runs: FilledCells['runs']): Promise<string> {
  const keys = runs.flatMap(([first, last]) => {
    if (typeof first === 'string' || typeof last === 'string') return [literal(String(first))];
    return Array.from({ length: Number(last - first) + 1 }, (_, i) => String(first + BigInt(i)));
  });
  return `ARRAY[${keys.join(', ')}]::${(await keyTypeOf(store, backfill)).type}[]`;
}

/** The rows that are left to this program; an update in between has changed none of what they are derived from. */
const rawRows = async (store: Store, rows: string): Promise<RawRow[]> =>
  (
    await store.project.allExact<{ k: Key; raw: string }>(
      `SELECT k, raw FROM (${rows}) AS derived WHERE raw IS NOT NULL`,
    )
  ).map(({ k, raw }) => ({ key: k, raw }));

async function rawSql(
  store: Store,
  backfill: Backfill,
  rows: readonly RawRow[],
  absent: ReadonlySet<string>,
): Promise<string> {
  const derived = await resolveRaw(store, backfill, rows);
  const given = await valuesSql(
    store,
    backfill,
    rows.map(({ key }, i) => ({ key, values: derived[i]?.values ?? [] })),
  );
  const types = await targetTypes(store, backfill);
  const present = backfill.columns.map(({ name }, i) =>
    absent.has(foldCase(name)) ? `NULL::${types[i]} AS c${i}` : `t.${identifier(name)} AS c${i}`,
  );
  return `SELECT given.k, ${present.join(', ')}, ${backfill.columns.map((_, i) => `given.v${i}`).join(', ')}
    FROM ${given} JOIN ${identifier(backfill.table)} AS t ON ${await keySql(store, backfill)} ${EQ} given.k`;
}

interface Undone {
  /** Rows that are there. */
  readonly rows: number;
  /** Cells, as in {@link FoundCells}. */
  readonly reverted: number;
  readonly others: number;
}

/** Takes back the cells of rows that hold what is derived: `k`, `c<i>` and `v<i>` of a SELECT. */
async function undo(
  store: Store,
  backfill: Backfill,
  columns: readonly Target[],
  rows: string,
): Promise<Undone> {
  const each = (sql: (i: number) => string, separator: string): string =>
    columns.map(({ i }) => sql(i)).join(separator);
  const sql = `WITH judged AS MATERIALIZED (
    SELECT k, ${each((i) => `(c${i} IS NOT NULL AND ${isSameSql(`c${i}`, `v${i}`)}) AS is_ours${i}`, ', ')},
      ${each((i) => `CASE WHEN c${i} IS NOT NULL AND NOT ${isSameSql(`c${i}`, `v${i}`)} THEN 1 ELSE 0 END`, ` ${operator('+')} `)} AS others
    FROM (${rows}) AS found
  ), undone AS (
    UPDATE ${identifier(backfill.table)} AS t
    SET ${columns.map(({ name, i }) => `${name} = CASE WHEN j.is_ours${i} THEN NULL ELSE t.${name} END`).join(', ')}
    FROM judged AS j WHERE ${await keySql(store, backfill)} ${EQ} j.k AND (${each((i) => `j.is_ours${i}`, ' OR ')})
    RETURNING 1
  )
  SELECT coalesce(pg_catalog.sum(${each((i) => `CASE WHEN is_ours${i} THEN 1 ELSE 0 END`, ` ${operator('+')} `)}), 0) AS reverted,
    coalesce(pg_catalog.sum(others), 0) AS others, pg_catalog.count(*) AS rows,
    pg_catalog.count(*) FILTER (WHERE ${each((i) => `is_ours${i}`, ' OR ')}) AS due,
    (SELECT pg_catalog.count(*) FROM undone) AS done FROM judged`;
  const counts = await store.project.get<Undone & { due: number; done: number }>(sql);
  failpoint('statement', sql);
  const { rows: found = 0, reverted = 0, others = 0, due = 0, done = 0 } = counts ?? {};
  if (done !== due) throw updateIgnored(backfill, due - done);
  return { rows: found, reverted, others };
}
