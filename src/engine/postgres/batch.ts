import type { Store } from '../../db/connection.js';
import { EQ, operator } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { isPostgresError } from '../../engine-errors.js';
import { failpoint } from '../../failpoint.js';
import { compareKeys, type Key, MAX_OFFSET } from '../../ledger/keys.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import type { Backfill } from '../../steps/define.js';
import {
  type BatchResult,
  type FillOptions,
  RejectedUpdate,
  type RevertedRows,
  updateIgnored,
} from '../batch.js';
import type { Derivation, Given } from '../derive.js';
import type { Derived } from '../process.js';
import { anyNullSql, type KeyKind, keyLiteral, type RowSql, rowSql } from '../rows.js';
import {
  bits,
  filledCells,
  filledSql,
  type Group,
  maskSql,
  recordSkips,
  recordXidsSql,
  regroupByStoredValues,
  skippedRows,
} from './batch-record.js';
import { derive, type PostgresDerivation } from './derive.js';
import { keyOf, ledgerKeyOf } from './keys.js';

/**
 * One batch, in one statement: rows are read and derived, the table is updated, and the keys are returned, grouped by result.
 * Client-side rows follow in a second one.
 */

/** Whether a row may be to blame for an error: a value out of range or malformed, a constraint, a trigger's RAISE. */
const isRowError = (code: string): boolean => /^POSTGRES_(?:22|23|44|P0|09|38|39)[0-9A-Z]{3}$/.test(code);

/** SQL that sets NULL cells to the values of a table. */
const assignmentsSql = ({ columns }: Backfill, values: string): string =>
  columns
    .map(({ name }, i) => `${identifier(name)} = coalesce(t.${identifier(name)}, ${values}.v${i})`)
    .join(', ');

/** Fills the next rows after the cursor. See the `Dialect`. */
export async function fillBatch(
  store: Store,
  backfill: Backfill,
  asked: FillOptions,
): Promise<BatchResult | undefined> {
  const rows = await rowSql(store, backfill);
  const take = { ...asked, watermark: await lastWithin(store, backfill, rows, asked) };
  const where = whereSql(backfill, rows, take);
  // For a single row, read its key first: server errors do not name the row.
  const alone = take.limit === 1 ? await nextKey(store, backfill, rows, where) : undefined;
  try {
    const batch = await filled(store, backfill, rows, take, where);
    return batch && { ...batch, isLast: batch.isLast && take.watermark === asked.watermark };
  } catch (error) {
    if (!isPostgresError(error) || !isRowError(error.code)) throw error;
    throw new RejectedUpdate(take.limit, { key: alone ?? 0n, code: error.code }, error);
  }
}

/**
 * Returns the last key of the batch. Keys are stored as offsets from the first, which must be exact: where keys are too far apart,
 * the batch ends sooner.
 */
async function lastWithin(store: Store, backfill: Backfill, rows: RowSql, take: FillOptions): Promise<Key> {
  const { cursor, watermark } = take;
  if (typeof watermark !== 'bigint') return watermark;
  const isNear = typeof cursor === 'bigint' && watermark - cursor <= BigInt(MAX_OFFSET);
  const first = isNear ? undefined : await nextKey(store, backfill, rows, whereSql(backfill, rows, take));
  const end = typeof first === 'bigint' ? first + BigInt(MAX_OFFSET) : watermark;
  return end < watermark ? end : watermark;
}

const whereSql = (
  backfill: Backfill,
  { afterKey, upTo, inScope, isSkipped }: RowSql,
  { cursor, watermark, excludeSkips }: FillOptions,
): string =>
  `${afterKey(cursor)} AND ${upTo(watermark)} AND ${inScope}
    AND ${anyNullSql(backfill)}${excludeSkips ? ` AND NOT ${isSkipped}` : ''}`;

async function nextKey(
  store: Store,
  { table }: Backfill,
  { key }: RowSql,
  where: string,
): Promise<Key | undefined> {
  const sql = `SELECT ${key} AS k FROM ${identifier(table)} AS t WHERE ${where} ORDER BY ${key} LIMIT 1`;
  return (await store.project.getExact<{ k: Key }>(sql))?.k;
}

async function filled(
  store: Store,
  backfill: Backfill,
  rows: RowSql,
  take: FillOptions,
  where: string,
): Promise<BatchResult | undefined> {
  const { limit, batch, hasTriggers, rejected } = take;
  const derivation = await derive(store, backfill);
  const { kind } = await keyOf(store, backfill);
  const sql = fillSql(derivation, kind, rows, where, take);
  const found = await store.project.all<FoundGroup>(sql);
  failpoint('statement', sql);
  if (found.length === 0) return undefined;
  const isText = kind === 'text';
  const groups = found.filter(({ clientInput }) => clientInput === null).map((row) => groupOf(row, isText));
  const left = found.flatMap((row) => clientRows(row, isText));
  groups.push(...(await fillClientRows(store, derivation, rows, batch, left, rejected?.key)));
  const seen = hasTriggers ? await regroupByStoredValues(store, backfill, rows, batch, groups) : groups;
  const keys = seen.flatMap((group) => group.keys).sort(compareKeys);
  const [firstKey, lastKey] = [keys[0] as Key, keys.at(-1) as Key];
  const skips = await recordSkips(store, backfill, batch, skippedRows(backfill, seen, rejected));
  const { cells, count } = filledCells(backfill, seen, firstKey);
  const wanted = seen.reduce((sum, group) => sum + bits(group.nullMask) * group.keys.length, 0);
  return {
    firstKey,
    lastKey,
    rowsScanned: keys.length,
    cellsFilled: count,
    cellsSkipped: wanted - count,
    skips,
    cells,
    isLast: keys.length < limit,
  };
}

/** A group as the server returns it: its keys as a list, and their client-side input as JSON. */
interface FoundGroup extends Omit<Group, 'keys'> {
  readonly keys: string;
  readonly clientInput: string | null;
}

function fillSql(
  { backfill, select }: PostgresDerivation,
  kind: KeyKind | undefined,
  { key, afterKey, upTo }: RowSql,
  where: string,
  { cursor, watermark, limit, batch, rejected }: FillOptions,
): string {
  const except = rejected === undefined ? {} : { except: `k ${EQ} ${keyLiteral(rejected.key)}` };
  const derivable = maskSql(backfill, (i) => `v${i} IS NOT NULL`);
  const list =
    kind === 'integer'
      ? `pg_catalog.string_agg(r.k::pg_catalog.text, ',' ORDER BY r.k)`
      : `pg_catalog.json_agg(r.k ORDER BY r.k)::pg_catalog.text`;
  return `WITH read_rows AS MATERIALIZED (
    SELECT k, failure, client_input, ${maskSql(backfill, (i) => `c${i} IS NULL`)} AS null_mask,
      ${backfill.columns.map((_, i) => `CASE WHEN c${i} IS NULL THEN v${i} END AS v${i}`).join(', ')}
    FROM (${select({ where, limit, isStrict: true, ...except })}) AS derived
  ), updated AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignmentsSql(backfill, 'r')} FROM read_rows AS r
    WHERE ${key} ${EQ} r.k AND ${afterKey(cursor)} AND ${upTo(watermark)}
      AND (${backfill.columns.map((_, i) => `r.v${i} IS NOT NULL`).join(' OR ')})
    RETURNING r.k, ${filledSql(backfill)} AS filled_mask, t.xmin AS x, t.tableoid AS o
  ), recorded AS (
    ${recordXidsSql(backfill, batch, 'SELECT x, o FROM updated')}
  ), deleted AS (
    DELETE FROM ${LEDGER_TABLES.skips} AS s USING read_rows AS r
    WHERE s.backfill ${EQ} ${literal(backfill.name)} AND s.key ${EQ} ${ledgerKeyOf(kind, 'r.k')}
  )
  SELECT r.null_mask AS "nullMask", r.derivable_mask AS "derivableMask", coalesce(u.filled_mask, 0) AS "filledMask",
    r.failure, ${list} AS keys,
    CASE WHEN r.needs_client THEN pg_catalog.json_agg(r.client_input ORDER BY r.k)::pg_catalog.text END AS "clientInput"
  FROM (SELECT k, null_mask, failure, client_input, client_input IS NOT NULL AS needs_client, ${derivable} AS derivable_mask FROM read_rows) AS r
  LEFT JOIN updated AS u ON u.k ${EQ} r.k
  GROUP BY r.null_mask, r.derivable_mask, coalesce(u.filled_mask, 0), r.failure, r.needs_client`;
}

const parsedKeys = (keys: string, isText: boolean): Key[] =>
  isText ? (JSON.parse(keys) as string[]) : keys.split(',').map(BigInt);

const groupOf = (
  { nullMask, derivableMask, filledMask: mask, failure, keys }: FoundGroup,
  isText: boolean,
): Group => ({
  nullMask,
  derivableMask,
  filledMask: mask & derivableMask,
  failure,
  keys: parsedKeys(keys, isText),
});

/** A client-side row, with its input. */
interface ClientRow {
  readonly key: Key;
  readonly input: string;
  readonly nullMask: number;
}

function clientRows({ clientInput, keys, nullMask }: FoundGroup, isText: boolean): ClientRow[] {
  if (clientInput === null) return [];
  const inputs = JSON.parse(clientInput) as string[];
  return parsedKeys(keys, isText).map((key, i) => ({ key, input: inputs[i] ?? '', nullMask }));
}

/** Derives and fills client-side rows. */
async function fillClientRows(
  store: Store,
  derivation: PostgresDerivation,
  { key: keySql }: RowSql,
  batch: number,
  left: readonly ClientRow[],
  rejected: Key | undefined,
): Promise<Group[]> {
  if (left.length === 0) return [];
  const { backfill } = derivation;
  const derived = derivation.derive(left.map(({ input }) => [input]));
  const offers = left.map(({ key, nullMask }, i) => ({ key, nullMask, ...offerOf(derived[i], nullMask) }));
  const due = offers.filter(({ key, derivableMask }) => derivableMask !== 0 && key !== rejected);
  const now = new Map<Key, number>();
  if (due.length > 0) {
    const sql = `WITH updated AS (
      UPDATE ${identifier(backfill.table)} AS t SET ${assignmentsSql(backfill, 'given')} FROM ${derivation.given(due, true).sql}
      WHERE ${keySql} ${EQ} given.k
      RETURNING given.k, ${filledSql(backfill)} AS filled, t.xmin AS x, t.tableoid AS o
    ), recorded AS (${recordXidsSql(backfill, batch, 'SELECT x, o FROM updated')})
    SELECT k, filled FROM updated`;
    const updated = await store.project.allExact<{ k: Key; filled: bigint }>(sql);
    failpoint('statement', sql);
    for (const { k, filled: mask } of updated) now.set(k, Number(mask));
  }
  return offers.map(({ key, nullMask, derivableMask, failure }) => ({
    nullMask,
    derivableMask,
    filledMask: (now.get(key) ?? 0) & derivableMask,
    failure,
    keys: [key],
  }));
}

function offerOf(derived: Derived | undefined, nullMask: number) {
  const values = (derived?.values ?? []).map((value, i) => ((nullMask >> i) & 1 ? value : null));
  const derivableMask = values.reduce<number>(
    (mask, value, i) => (value === null ? mask : mask | (1 << i)),
    0,
  );
  return { values, derivableMask, failure: derived?.failure ?? null };
}

/** Sets cells to NULL if they hold the derived value, in one statement. See the `Dialect`. */
export async function revertRows(
  store: Store,
  { backfill, isSame }: Derivation,
  columns: readonly number[],
  { sql: rows }: Given,
): Promise<RevertedRows> {
  const { sql: key } = await keyOf(store, backfill);
  const each = (of: (i: number) => string, separator: string): string => columns.map(of).join(separator);
  const assignments = each((i) => {
    const name = identifier(backfill.columns[i]?.name ?? '');
    return `${name} = CASE WHEN r.is_ours${i} THEN NULL ELSE t.${name} END`;
  }, ', ');
  const sum = (of: (i: number) => string): string =>
    each((i) => `CASE WHEN ${of(i)} THEN 1 ELSE 0 END`, ` ${operator('+')} `);
  const sql = `WITH compared AS MATERIALIZED (
    SELECT k, ${each((i) => `(c${i} IS NOT NULL AND ${isSame(`c${i}`, `v${i}`)}) AS is_ours${i}`, ', ')},
      ${sum((i) => `c${i} IS NOT NULL AND NOT ${isSame(`c${i}`, `v${i}`)}`)} AS others
    FROM (${rows}) AS found
  ), updated AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignments}
    FROM compared AS r WHERE ${key} ${EQ} r.k AND (${each((i) => `r.is_ours${i}`, ' OR ')})
    RETURNING 1
  )
  SELECT coalesce(pg_catalog.sum(${sum((i) => `is_ours${i}`)}), 0) AS reverted,
    coalesce(pg_catalog.sum(others), 0) AS others, pg_catalog.count(*) AS rows,
    pg_catalog.count(*) FILTER (WHERE ${each((i) => `is_ours${i}`, ' OR ')}) AS due,
    (SELECT pg_catalog.count(*) FROM updated) AS done FROM compared`;
  const counts = await store.project.get<RevertedRows & { due: number; done: number }>(sql);
  failpoint('statement', sql);
  const { rows: found = 0, reverted = 0, others = 0, due = 0, done = 0 } = counts ?? {};
  if (done !== due) throw updateIgnored(backfill, due - done);
  return { rows: found, reverted, others };
}
