import type { Backfill } from '../../backfill/define.js';
import type { Derived } from '../../backfill/process.js';
import { isPostgresError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import { compareKeys, type Key, MAX_OFFSET, packKeys, packTexts } from '../../ledger/keys.js';
import type { CellsRecord } from '../../ledger/records.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { type FillOptions, RefusedUpdate } from '../batch.js';
import { keyLiteral } from '../keys.js';
import type { BatchResult, Store } from '../port.js';
import { anyNullSql, behindSql, isSkippedSql, scopeSql } from '../rows.js';
import { identifier, literal } from '../sql.js';
import { derivationSql } from './derive.js';
import { keyTypeOf } from './key-type.js';
import { keySql, ledgerKeyOf } from './keys.js';
import { type RawRow, resolveRaw, valuesSql } from './resolve.js';
import { notedSql, noteTriggered } from './row-versions.js';
import { recordSkips, type SkippedRow } from './skips.js';
import { EQ, GE, LE, operator } from './texts.js';

/**
 * One batch, in one statement: rows are read and derived, the table is updated, and what became of each row comes back, grouped, as
 * keys. Rows that are left to this program follow in a second one.
 */

/** Rows of a batch that became the same. */
interface Group {
  /** Bits of the columns that were NULL. */
  readonly wanted: number;
  /** Bits of the columns that there is a value for. */
  readonly offered: number;
  /** Bits of the columns that hold one now. */
  readonly filled: number;
  readonly failure: string | null;
  readonly keys: readonly Key[];
}

/** Errors that a row can be to blame for: a value out of range or of a wrong form, a constraint, a trigger's RAISE. */
const isRowsFault = (code: string): boolean => /^POSTGRES_(?:22|23|44|P0|09|38|39)[0-9A-Z]{3}$/.test(code);

/** SQL for a mask of the columns for which `condition(i)` holds. */
const maskSql = (backfill: Backfill, condition: (i: number) => string): string =>
  backfill.columns
    .map((_, i) => `CASE WHEN ${condition(i)} THEN ${1 << i} ELSE 0 END`)
    .join(` ${operator('+')} `);

/**
 * Fills the next rows behind the cursor. Runs inside its caller's transaction.
 *
 * @throws {RefusedUpdate} when a row, or one of several, can not be updated: the transaction is to be rolled back
 */
export async function fillBatch(
  store: Store,
  backfill: Backfill,
  asked: FillOptions,
): Promise<BatchResult | undefined> {
  const take = { ...asked, watermark: await lastWithin(store, backfill, asked) };
  const where = await whereSql(store, backfill, take);
  // Alone, it is to be known which row it is: an error of the server's names none.
  const alone = take.limit === 1 ? await nextKey(store, backfill, where) : undefined;
  try {
    const batch = await filled(store, backfill, take, where);
    return batch && { ...batch, isLast: batch.isLast && take.watermark === asked.watermark };
  } catch (error) {
    if (!isPostgresError(error) || !isRowsFault(error.code)) throw error;
    throw new RefusedUpdate(take.limit, { key: alone ?? 0n, code: error.code }, error);
  }
}

/** A batch's keys are kept as offsets from its first, which have to be exact: where keys lie so far apart, it ends sooner. */
async function lastWithin(store: Store, backfill: Backfill, take: FillOptions): Promise<Key> {
  const { cursor, watermark } = take;
  if (typeof watermark !== 'bigint') return watermark;
  const isNear = typeof cursor === 'bigint' && watermark - cursor <= BigInt(MAX_OFFSET);
  const first = isNear ? undefined : await nextKey(store, backfill, await whereSql(store, backfill, take));
  const end = typeof first === 'bigint' ? first + BigInt(MAX_OFFSET) : watermark;
  return end < watermark ? end : watermark;
}

const whereSql = async (
  store: Store,
  backfill: Backfill,
  { cursor, watermark, leavesSkips }: FillOptions,
): Promise<string> =>
  `${await behindSql(store, backfill, cursor)} AND ${await keySql(store, backfill)} ${LE} ${keyLiteral(watermark)} AND ${scopeSql(backfill, store.dialect)}
    AND ${anyNullSql(backfill)}${leavesSkips ? ` AND NOT ${await isSkippedSql(store, backfill)}` : ''}`;

async function nextKey(store: Store, backfill: Backfill, where: string): Promise<Key | undefined> {
  const key = await keySql(store, backfill);
  return (
    await store.project.getExact<{ k: Key }>(
      `SELECT ${key} AS k FROM ${identifier(backfill.table)} AS t WHERE ${where} ORDER BY ${key} LIMIT 1`,
    )
  )?.k;
}

async function filled(
  store: Store,
  backfill: Backfill,
  { watermark, cursor, limit, batch, hasTriggers, refused }: FillOptions,
  where: string,
): Promise<BatchResult | undefined> {
  const sql = await fillSql(store, backfill, where, limit, {
    cursor,
    watermark,
    batch,
    refused: refused?.key,
  });
  const found = await store.project.all<FoundGroup>(sql);
  failpoint('statement', sql);
  if (found.length === 0) return undefined;
  const isText = (await keyTypeOf(store, backfill)).kind === 'text';
  const groups = found.filter(({ raw }) => raw === null).map((row) => groupOf(row, isText));
  const raws = found.flatMap((row) => rawRows(row, isText));
  groups.push(...(await fillRaw(store, backfill, batch, raws, refused?.key)));
  const seen = hasTriggers ? await standing(store, backfill, batch, groups) : groups;
  const keys = seen.flatMap((group) => group.keys).sort(compareKeys);
  const [firstKey, lastKey] = [keys[0] as Key, keys.at(-1) as Key];
  const skips = await recordSkips(store, backfill, batch, skippedRows(backfill, seen, refused));
  const { cells, count } = filledCells(backfill, seen, firstKey);
  const wanted = seen.reduce((sum, group) => sum + bits(group.wanted) * group.keys.length, 0);
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

/** The same as the server tells it: keys as a list, and in JSON what this program has to derive of each. */
interface FoundGroup extends Omit<Group, 'keys'> {
  readonly keys: string;
  readonly raw: string | null;
}

async function fillSql(
  store: Store,
  backfill: Backfill,
  where: string,
  limit: number,
  range: Pick<FillOptions, 'cursor' | 'watermark' | 'batch'> & { readonly refused: Key | undefined },
): Promise<string> {
  const key = await keySql(store, backfill);
  const { kind } = await keyTypeOf(store, backfill);
  const tail = `WHERE ${where} ORDER BY ${key} LIMIT ${limit}`;
  const except = range.refused === undefined ? {} : { except: `k ${EQ} ${keyLiteral(range.refused)}` };
  const offered = maskSql(backfill, (i) => `v${i} IS NOT NULL`);
  const assignments = backfill.columns.map(
    ({ name }, i) => `${identifier(name)} = coalesce(t.${identifier(name)}, r.v${i})`,
  );
  const list =
    kind === 'integer'
      ? `pg_catalog.string_agg(r.k::pg_catalog.text, ',' ORDER BY r.k)`
      : `pg_catalog.json_agg(r.k ORDER BY r.k)::pg_catalog.text`;
  return `WITH read_rows AS MATERIALIZED (
    SELECT k, failure, raw, ${maskSql(backfill, (i) => `c${i} IS NULL`)} AS wanted,
      ${backfill.columns.map((_, i) => `CASE WHEN c${i} IS NULL THEN v${i} END AS v${i}`).join(', ')}
    FROM (${await derivationSql(store, backfill, { tail, isStrict: true, ...except })}) AS derived
  ), updated AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignments.join(', ')} FROM read_rows AS r
    WHERE ${key} ${EQ} r.k AND ${await behindSql(store, backfill, range.cursor)} AND ${key} ${LE} ${keyLiteral(range.watermark)}
      AND (${backfill.columns.map((_, i) => `r.v${i} IS NOT NULL`).join(' OR ')})
    RETURNING r.k, ${maskSql(backfill, (i) => `t.${identifier(backfill.columns[i]?.name ?? '')} IS NOT NULL`)} AS filled, t.xmin AS x, t.tableoid AS o
  ), noted AS (
    ${notedSql(backfill, range.batch, 'SELECT x, o FROM updated')}
  ), forgotten AS (
    DELETE FROM ${LEDGER_TABLES.skips} AS s USING read_rows AS r
    WHERE s.backfill ${EQ} ${literal(backfill.name)} AND s.key ${EQ} ${ledgerKeyOf(kind, 'r.k')}
  )
  SELECT r.wanted, r.offered, coalesce(u.filled, 0) AS filled, r.failure, ${list} AS keys,
    CASE WHEN r.is_raw THEN pg_catalog.json_agg(r.raw ORDER BY r.k)::pg_catalog.text END AS raw
  FROM (SELECT k, wanted, failure, raw, raw IS NOT NULL AS is_raw, ${offered} AS offered FROM read_rows) AS r
  LEFT JOIN updated AS u ON u.k ${EQ} r.k
  GROUP BY r.wanted, r.offered, coalesce(u.filled, 0), r.failure, r.is_raw`;
}

const parsedKeys = (keys: string, isText: boolean): Key[] =>
  isText ? (JSON.parse(keys) as string[]) : keys.split(',').map(BigInt);

const groupOf = ({ wanted, offered, filled: mask, failure, keys }: FoundGroup, isText: boolean): Group => ({
  wanted,
  offered,
  filled: mask & offered,
  failure,
  keys: parsedKeys(keys, isText),
});

interface WantedRaw extends RawRow {
  readonly wanted: number;
}

/** Rows that came with what this program needs to derive them. */
function rawRows({ raw, keys, wanted }: FoundGroup, isText: boolean): WantedRaw[] {
  if (raw === null) return [];
  const raws = JSON.parse(raw) as string[];
  return parsedKeys(keys, isText).map((key, i) => ({ key, raw: raws[i] ?? '', wanted }));
}

/** Derives and fills rows that were left to this program. */
async function fillRaw(
  store: Store,
  backfill: Backfill,
  batch: number,
  rows: readonly WantedRaw[],
  refused: Key | undefined,
): Promise<Group[]> {
  if (rows.length === 0) return [];
  const derived = await resolveRaw(store, backfill, rows);
  const offers = rows.map(({ key, wanted }, i) => ({ key, wanted, ...offerOf(derived[i], wanted) }));
  const due = offers.filter(({ key, offered }) => offered !== 0 && key !== refused);
  const now = due.length === 0 ? new Map<Key, number>() : await updateRaw(store, backfill, batch, due);
  return offers.map(({ key, wanted, offered, failure }) => ({
    wanted,
    offered,
    filled: (now.get(key) ?? 0) & offered,
    failure,
    keys: [key],
  }));
}

function offerOf(derived: Derived | undefined, wanted: number) {
  const values = (derived?.values ?? []).map((value, i) => ((wanted >> i) & 1 ? value : null));
  const offered = values.reduce<number>((mask, value, i) => (value === null ? mask : mask | (1 << i)), 0);
  return { values, offered, failure: derived?.failure ?? null };
}

async function updateRaw(
  store: Store,
  backfill: Backfill,
  batch: number,
  rows: readonly { readonly key: Key; readonly values: Derived['values'] }[],
): Promise<Map<Key, number>> {
  const assignments = backfill.columns.map(
    ({ name }, i) => `${identifier(name)} = coalesce(t.${identifier(name)}, given.v${i})`,
  );
  const sql = `WITH updated AS (
    UPDATE ${identifier(backfill.table)} AS t SET ${assignments.join(', ')} FROM ${await valuesSql(store, backfill, rows, { isStrict: true })}
    WHERE ${await keySql(store, backfill)} ${EQ} given.k
    RETURNING given.k, ${maskSql(backfill, (i) => `t.${identifier(backfill.columns[i]?.name ?? '')} IS NOT NULL`)} AS filled, t.xmin AS x, t.tableoid AS o
  ), noted AS (${notedSql(backfill, batch, 'SELECT x, o FROM updated')})
  SELECT k, filled FROM updated`;
  const now = await store.project.allExact<{ k: Key; filled: bigint }>(sql);
  failpoint('statement', sql);
  return new Map(now.map(({ k, filled: mask }) => [k, Number(mask)]));
}

/** The same groups by what stands in the table now: a trigger behind the update may have changed it. */
async function standing(
  store: Store,
  backfill: Backfill,
  batch: number,
  groups: readonly Group[],
): Promise<Group[]> {
  const keys = groups
    .filter(({ offered }) => offered !== 0)
    .flatMap((group) => group.keys)
    .sort(compareKeys);
  if (keys.length === 0) return [...groups];
  const key = await keySql(store, backfill);
  const [first, last] = [keyLiteral(keys[0] as Key), keyLiteral(keys.at(-1) as Key)];
  await noteTriggered(store, backfill, batch, [first, last]);
  const now = new Map(
    (
      await store.project.allExact<{ k: Key; mask: bigint }>(
        `SELECT ${key} AS k, ${maskSql(backfill, (i) => `t.${identifier(backfill.columns[i]?.name ?? '')} IS NOT NULL`)} AS mask
        FROM ${identifier(backfill.table)} AS t WHERE ${key} ${GE} ${first} AND ${key} ${LE} ${last}`,
      )
    ).map(({ k, mask }) => [k, Number(mask)] as const),
  );
  return groups.flatMap((group) =>
    group.offered === 0
      ? [group]
      : group.keys.map((k) => ({
          ...group,
          filled: (now.get(k) ?? 0) & group.offered & group.wanted,
          keys: [k],
        })),
  );
}

function skippedRows(
  backfill: Backfill,
  groups: readonly Group[],
  refused: FillOptions['refused'],
): SkippedRow[] {
  return groups.flatMap(({ keys, failure, wanted, offered, filled: mask }) => {
    if (failure !== null) return keys.map((key) => ({ key, target: '*', reason: failure }));
    return keys.flatMap((key): SkippedRow[] => {
      if (key === refused?.key) return [{ key, target: '*', reason: refused.code }];
      return backfill.columns.flatMap(({ name }, i) => {
        if (!((wanted >> i) & 1) || (mask >> i) & 1) return [];
        return [{ key, target: name, reason: (offered >> i) & 1 ? 'UPDATE_IGNORED' : 'NO_USABLE_VALUE' }];
      });
    });
  });
}

const bits = (mask: number): number => (mask === 0 ? 0 : (mask & 1) + bits(mask >> 1));

function filledCells(
  backfill: Backfill,
  groups: readonly Group[],
  firstKey: Key,
): { cells: CellsRecord[]; count: number } {
  let count = 0;
  const masks = new Set(groups.map((group) => group.filled & group.wanted).filter((mask) => mask !== 0));
  const cells = [...masks].map((mask) => {
    const keys = groups
      .filter((group) => (group.filled & group.wanted) === mask)
      .flatMap((group) => group.keys)
      .sort(compareKeys);
    count += keys.length * bits(mask);
    return {
      columns: backfill.columns.filter((_, i) => (mask >> i) & 1).map(({ name }) => name),
      firstKey,
      keys:
        typeof firstKey === 'bigint'
          ? packKeys(keys.map((key) => Number((key as bigint) - firstKey)))
          : packTexts(keys as string[]),
    };
  });
  return { cells, count };
}
