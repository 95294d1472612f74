import type { Store } from '../../db/connection.js';
import { EQ, operator } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { isPostgresError } from '../../engine-errors.js';
import { failpoint } from '../../failpoint.js';
import { compareKeys, countKeys, type Key, MAX_OFFSET } from '../../ledger/keys.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import type { Backfill } from '../../steps/define.js';
import {
  assignmentsSql,
  type BatchResult,
  type FillOptions,
  RejectedUpdate,
  type RevertedRows,
} from '../batch.js';
import type { Dialect } from '../dialect.js';
import { dueSql, type KeyKind, keyLiteral, type RowSql, rowSql } from '../rows.js';
import {
  bits,
  filledCells,
  filledSql,
  type Group,
  keyListSql,
  maskSql,
  readKeyList,
  recordSkips,
  recordXidsSql,
  regroupByStoredValues,
} from './batch-record.js';
import { derive, type PostgresDerivation } from './derive.js';
import { fillInPlace, isInPlace, revertInPlace } from './in-place.js';
import { keyAt, keyOf, ledgerKeyOf } from './keys.js';

/**
 * One batch, in one statement: rows are read and derived, the table is updated, and the keys are returned, grouped by result.
 * Client-side rows follow in a second one.
 */

/** Whether a row may be to blame for an error: a value out of range or malformed, a constraint, a trigger's RAISE. */
const isRowError = (code: string): boolean => /^POSTGRES_(?:22|23|44|P0|09|38|39)[0-9A-Z]{3}$/.test(code);

/** Maximum rows per batch with text keys: the ledger has room for that number of the longest that an index can hold. */
const MAX_TEXT_KEYS = 10_000;

/** Fills the next rows after the cursor. See the `Dialect`. */
export const fillBatch: Dialect['fillBatch'] = async (store, backfill, asked) => {
  const rows = await rowSql(store, backfill);
  const { kind } = await keyOf(store, backfill);
  const { cursor, excludeSkips } = asked;
  const limit = kind === 'text' ? Math.min(asked.limit, MAX_TEXT_KEYS) : asked.limit;
  const whereUpTo = (last: Key): string =>
    `${rows.afterKey(cursor)} AND ${rows.upTo(last)} AND ${dueSql(backfill, rows, excludeSkips)}`;
  const watermark = await lastWithin(store, backfill, asked, whereUpTo(asked.watermark));
  // For a single row, read its key first: server errors do not name the row.
  const alone = limit === 1 ? await keyAt(store, backfill, whereUpTo(watermark)) : undefined;
  try {
    const batch = await filled(store, backfill, rows, { ...asked, limit, watermark }, whereUpTo);
    return batch && { ...batch, isLast: batch.isLast && watermark === asked.watermark };
  } catch (error) {
    if (!isPostgresError(error) || !isRowError(error.code)) throw error;
    throw new RejectedUpdate(limit, { key: alone ?? 0n, code: error.code }, error);
  }
};

/**
 * Returns the last key of the batch. Keys are stored as offsets from the first, which must be exact: where keys are too far apart,
 * the batch ends sooner.
 */
async function lastWithin(store: Store, backfill: Backfill, asked: FillOptions, where: string): Promise<Key> {
  const { cursor, watermark } = asked;
  if (typeof watermark !== 'bigint') return watermark;
  const isNear = typeof cursor === 'bigint' && watermark - cursor <= BigInt(MAX_OFFSET);
  const first = isNear ? undefined : await keyAt(store, backfill, where);
  const end = typeof first === 'bigint' ? first + BigInt(MAX_OFFSET) : watermark;
  return end < watermark ? end : watermark;
}

async function filled(
  store: Store,
  backfill: Backfill,
  rows: RowSql,
  take: FillOptions,
  whereUpTo: (last: Key) => string,
): Promise<BatchResult | undefined> {
  const { limit, batch, hasTriggers } = take;
  const derivation = await derive(store, backfill);
  const mayBeInPlace = isInPlace(derivation, take);
  const inPlace = mayBeInPlace
    ? await fillInPlace(store, derivation, rows, take, whereUpTo(take.watermark))
    : undefined;
  if (mayBeInPlace && !inPlace) return undefined;
  const upTo = inPlace?.last ?? take.watermark;
  const others =
    inPlace?.left === 0
      ? []
      : await fillJoined(store, derivation, rows, { ...take, watermark: upTo }, whereUpTo(upTo));
  const groups = inPlace ? [inPlace.group(others.flatMap(({ keys }) => keys)), ...others] : others;
  if (groups.length === 0) return undefined;
  const seen = hasTriggers ? await regroupByStoredValues(store, backfill, rows, batch, groups) : groups;
  const keys = seen.flatMap((group) => group.keys).sort(compareKeys);
  const [firstKey, lastKey] = [keys[0] as Key, keys.at(-1) as Key];
  const skips = await recordSkips(store, backfill, take, seen);
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

/** Fills rows by one statement that reads and derives them, joined with the table, and then those that are derived client-side. */
async function fillJoined(
  store: Store,
  derivation: PostgresDerivation,
  rows: RowSql,
  take: FillOptions,
  where: string,
): Promise<Group[]> {
  const { kind } = await keyOf(store, derivation.backfill);
  const sql = fillSql(derivation, kind, rows, where, take);
  const found = await store.project.all<FoundGroup>(sql);
  failpoint('statement', sql);
  const groups: Group[] = [];
  const left: ClientRow[] = [];
  for (const { clientInput, keys: list, ...group } of found) {
    const own = readKeyList(kind, list);
    const inputs = JSON.parse(clientInput ?? '[]') as string[];
    const { nullMask, derivableMask, filledMask } = group;
    if (clientInput === null) groups.push({ ...group, filledMask: filledMask & derivableMask, keys: own });
    else for (const [i, key] of own.entries()) left.push({ key, input: inputs[i] ?? '', nullMask });
  }
  groups.push(...(await fillClientRows(store, derivation, rows, take.batch, left, take.rejected?.key)));
  return groups;
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
  const except = rejected && { except: `k ${EQ} ${keyLiteral(rejected.key)}` };
  const derivable = (of: string): string => maskSql(backfill, (i) => `${of}v${i} IS NOT NULL`);
  const hasValue = backfill.columns.map((_, i) => `r.v${i} IS NOT NULL`).join(' OR ');
  return `WITH read_rows AS MATERIALIZED (
    SELECT k, failure, client_input, ${maskSql(backfill, (i) => `c${i} IS NULL`)} AS null_mask,
      ${backfill.columns.map((_, i) => `CASE WHEN c${i} IS NULL THEN v${i} END AS v${i}`).join(', ')}
    FROM (${select({ where, limit, isStrict: true, ...except })}) AS derived
  ), updated AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignmentsSql(backfill, 'r')} FROM read_rows AS r
    WHERE ${key} ${EQ} r.k AND ${afterKey(cursor)} AND ${upTo(watermark)}
      AND (${hasValue})
    RETURNING r.k, r.null_mask, ${derivable('r.')} AS derivable_mask, ${filledSql(backfill)} AS filled_mask, r.failure, r.client_input,
      t.xmin AS x, t.tableoid AS o
  ), recorded AS (
    ${recordXidsSql(backfill, batch, 'SELECT x, o FROM updated')}
  ), deleted AS (
    DELETE FROM ${LEDGER_TABLES.skips} AS s USING read_rows AS r
    WHERE s.backfill ${EQ} ${literal(backfill.name)} AND s.key ${EQ} ${ledgerKeyOf(kind, 'r.k')}
  )
  SELECT null_mask AS "nullMask", derivable_mask AS "derivableMask", filled_mask AS "filledMask", failure, ${keyListSql(kind, 'k')} AS keys,
    CASE WHEN client_input IS NOT NULL THEN pg_catalog.json_agg(client_input)::pg_catalog.text END AS "clientInput"
  FROM (SELECT k, null_mask, derivable_mask, filled_mask, failure, client_input FROM updated
    UNION ALL
    SELECT k, null_mask, 0, 0, failure, client_input FROM read_rows AS r WHERE NOT (${hasValue})
    UNION ALL -- rows that a trigger or a policy kept from being updated: they are sought only if any are missing
    SELECT k, null_mask, ${derivable('r.')}, 0, failure, client_input FROM read_rows AS r WHERE (${hasValue})
      AND (SELECT pg_catalog.count(*) FROM updated) ${operator('<>')} (SELECT pg_catalog.count(*) FROM read_rows AS r WHERE ${hasValue})
      AND NOT EXISTS (SELECT 1 FROM updated AS u WHERE u.k ${EQ} r.k)) AS found
  GROUP BY null_mask, derivable_mask, filled_mask, failure, client_input IS NOT NULL`;
}

/** A client-side row, with its input. */
interface ClientRow {
  readonly key: Key;
  readonly input: string;
  readonly nullMask: number;
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
  const offers = left.map(({ key, nullMask }, at) => {
    const { values: own = [], failure = null } = derived[at] ?? {};
    const values = own.map((value, i) => ((nullMask >> i) & 1 ? value : null));
    const derivableMask = values.reduce<number>((mask, value, i) => mask | (value === null ? 0 : 1 << i), 0);
    return { key, nullMask, values, derivableMask, failure };
  });
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
  return offers.map(({ key, values: _values, ...offer }) => ({
    ...offer,
    filledMask: (now.get(key) ?? 0) & offer.derivableMask,
    keys: [key],
  }));
}

/** Sets cells to NULL if they hold the derived value, in one statement. See the `Dialect`. */
export const revertRows: Dialect['revertRows'] = async (store, derivation, columns, found, runs = []) => {
  const { backfill, isSame } = derivation;
  const rows = runs.length > 0 ? await revertInPlace(store, backfill, columns, runs) : 0;
  const inPlace = { rows, due: rows, done: rows, reverted: rows * columns.length, others: 0 };
  if (rows > 0 && rows === countKeys(runs)) return inPlace;
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
    FROM (${found.sql}) AS found
  ), updated AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignments}
    FROM compared AS r WHERE ${key} ${EQ} r.k AND (${each((i) => `r.is_ours${i}`, ' OR ')})
    RETURNING 1
  )
  SELECT coalesce(pg_catalog.sum(${sum((i) => `is_ours${i}`)}), 0) AS reverted,
    coalesce(pg_catalog.sum(others), 0) AS others, pg_catalog.count(*) AS rows,
    pg_catalog.count(*) FILTER (WHERE ${each((i) => `is_ours${i}`, ' OR ')}) AS due,
    (SELECT pg_catalog.count(*) FROM updated) AS done FROM compared`;
  const counts = await store.project.get<RevertedRows>(sql);
  failpoint('statement', sql);
  // The rows that were reverted in place exist, and hold NULL.
  return (
    counts && {
      ...counts,
      due: counts.due + inPlace.due,
      done: counts.done + inPlace.done,
      reverted: counts.reverted + inPlace.reverted,
    }
  );
};
