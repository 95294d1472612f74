import type { Store } from '../../db/connection.js';
import { EQ, LE, LT, operator, XIDS_TABLE } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { compareKeys, type Key } from '../../ledger/keys.js';
import type { SkipReason } from '../../ledger/records.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import type { Backfill } from '../../steps/define.js';
import { type FillOptions, packedCells } from '../batch.js';
import type { Dialect, KeyRange } from '../dialect.js';
import { type KeyKind, keyLiteral, type RowSql, rowSql } from '../rows.js';
import { hasTable } from './catalog.js';
import { keyOf } from './keys.js';

/** Rows of a batch with the same result. */
export interface Group {
  /** Bits of the columns that were NULL. */
  readonly nullMask: number;
  /** Bits of the columns with a derived value. */
  readonly derivableMask: number;
  /** Bits of the columns that have a value now. */
  readonly filledMask: number;
  readonly failure: string | null;
  readonly keys: readonly Key[];
}

/** SQL for the keys of a group of rows, as one text. */
export const keyListSql = (kind: KeyKind | undefined, key: string): string =>
  kind === 'integer'
    ? `pg_catalog.string_agg(${key}::pg_catalog.text, ',')`
    : `pg_catalog.json_agg(${key})::pg_catalog.text`;

/** Reads the result of {@link keyListSql}. */
export function readKeyList(kind: KeyKind | undefined, list: string | null): Key[] {
  if (list === null) return [];
  return kind === 'integer' ? list.split(',').map(BigInt) : (JSON.parse(list) as string[]);
}

/** Records the skips of a batch, and returns their number. Those of an earlier run for its rows are deleted by then. */
export async function recordSkips(
  store: Store,
  { name, columns }: Backfill,
  { batch, rejected }: FillOptions,
  groups: readonly Group[],
): Promise<number> {
  const { toCell } = store.dialect.ledger;
  const skips = groups.flatMap(({ keys, failure, nullMask, derivableMask, filledMask }) =>
    keys.flatMap((key) => {
      const whole = failure ?? (key === rejected?.key ? rejected.code : undefined);
      if (whole !== undefined) return [{ key: toCell(key), target: '*', reason: whole }];
      return columns.flatMap(({ name: target }, i) => {
        const reason: SkipReason = (derivableMask >> i) & 1 ? 'UPDATE_IGNORED' : 'NO_USABLE_VALUE';
        return ((nullMask & ~filledMask) >> i) & 1 ? [{ key: toCell(key), target, reason }] : [];
      });
    }),
  );
  if (skips.length === 0) return 0;
  return await store.run(
    `INSERT INTO ${LEDGER_TABLES.skips} (backfill, key, target, reason, batch)
    SELECT ${literal(name)}, s.key, s.target, s.reason, ${batch} FROM json_to_recordset(?) AS s (key text, target text, reason text)`,
    JSON.stringify(skips),
  );
}

/** Returns the number of bits in a mask. */
export const bits = (mask: number): number => (mask === 0 ? 0 : (mask & 1) + bits(mask >> 1));

/** Returns the filled cells of a batch in the ledger's form. */
export function filledCells(backfill: Backfill, groups: readonly Group[], firstKey: Key) {
  let count = 0;
  const maskOf = ({ filledMask, nullMask }: Group): number => filledMask & nullMask;
  const masks = new Set(groups.map(maskOf).filter((mask) => mask !== 0));
  const cells = [...masks].map((mask) => {
    const keys = groups.flatMap((group) => (maskOf(group) === mask ? group.keys : [])).sort(compareKeys);
    count += keys.length * bits(mask);
    const offsets = keys.map((key) => (typeof key === 'bigint' ? Number(key - (firstKey as bigint)) : key));
    return packedCells(backfill, mask, firstKey, offsets);
  });
  return { cells, count };
}

/**
 * A row has in `xmin` the transaction that wrote it, and a batch records the `xmin` of its rows. They are read from the rows,
 * because a subtransaction has its own number.
 */

/** Lower 32 bits of a transaction's number, which are all that a row stores. */
const XID = '4294967295';

const [PLUS, MASK] = [operator('+'), operator('&')];

/**
 * Returns the INSERT that records which transactions wrote a batch's rows: a statement, or a part of a WITH.
 *
 * @param rows SELECT of their `xmin` as `x` and `tableoid` as `o`
 */
export const recordXidsSql = ({ name }: Backfill, batch: number, rows: string) => `INSERT INTO ${XIDS_TABLE}
    (backfill, batch, xid, relation, filenode)
    SELECT ${literal(name)}, ${batch}, (x ${PLUS} (own ${MASK} -4294967296)) ${PLUS} CASE WHEN x ${LT} (own ${MASK} ${XID}) THEN 4294967296 ELSE 0 END,
      o, pg_catalog.pg_relation_filenode(o::pg_catalog.oid)
    FROM (SELECT x::pg_catalog.text::pg_catalog.int8 AS x, o::pg_catalog.int8 AS o,
      pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8 AS own FROM (SELECT DISTINCT x, o FROM (${rows}) AS u) AS u) AS d
    ON CONFLICT DO NOTHING`;

/**
 * Records rows that a trigger wrote again after the update, possibly in a subtransaction of an EXCEPTION block. No other
 * transaction visible to this one is as young.
 */
async function recordTriggered(store: Store, backfill: Backfill, batch: number, [first, last]: KeyRange) {
  const { from, upTo } = await rowSql(store, backfill);
  const rows = `SELECT t.xmin AS x, t.tableoid AS o FROM ${identifier(backfill.table)} AS t
    WHERE ${from(first)} AND ${upTo(last)} AND pg_catalog.age(t.xmin) ${LE} 0`;
  await store.project.run(recordXidsSql(backfill, batch, rows));
}

/**
 * Finds cells whose rows another client has written since a batch filled them: their transaction is not in the ledger, and the
 * table is the one that was filled. ALTER TYPE rewrites a table into another file. After a restored dump the table is another one,
 * and the ledger's own rows have other transactions than the ones they name.
 *
 * @returns their positions in `cells`
 */
export const rewrittenSince: Dialect['rewrittenSince'] = async (store, backfill, cells) => {
  if (!(await hasTable(store, XIDS_TABLE))) return new Set();
  const { type, sql: key } = await keyOf(store, backfill);
  const number = (xid: string): string => `${xid}::pg_catalog.text::pg_catalog.int8`;
  const asked = cells.map((cell, i) => `(${i}, (${keyLiteral(cell.key)})::${type}, ${cell.batch})`);
  const found = await store.project.pluck<number>(
    `SELECT a.i FROM (VALUES ${asked.join(', ')}) AS a(i, k, batch)
      JOIN ${identifier(backfill.table)} AS t ON ${key} ${EQ} a.k
    WHERE NOT EXISTS (SELECT 1 FROM ${XIDS_TABLE} AS n WHERE (n.xid ${MASK} ${XID}) ${EQ} ${number('t.xmin')})
      AND EXISTS (SELECT 1 FROM ${XIDS_TABLE} AS n
        WHERE n.backfill ${EQ} ${literal(backfill.name)} AND n.batch ${EQ} a.batch AND n.relation ${EQ} t.tableoid::pg_catalog.int8
          AND n.filenode ${EQ} pg_catalog.pg_relation_filenode(t.tableoid)::pg_catalog.int8 AND ${number('n.xmin')} ${EQ} (n.xid ${MASK} ${XID}))`,
  );
  return new Set(found);
};

/** SQL for a mask of the columns that meet `condition(i)`. */
export const maskSql = (backfill: Backfill, condition: (i: number) => string): string =>
  backfill.columns
    .map((_, i) => `CASE WHEN ${condition(i)} THEN ${1 << i} ELSE 0 END`)
    .join(` ${operator('+')} `);

/** SQL for a mask of the columns of a row `t` that have a value. */
export const filledSql = (backfill: Backfill): string =>
  maskSql(backfill, (i) => `t.${identifier(backfill.columns[i]?.name ?? '')} IS NOT NULL`);

/** Regroups by the values that are stored now: a trigger may have changed them after the update. */
export async function regroupByStoredValues(
  store: Store,
  backfill: Backfill,
  { key, from, upTo }: RowSql,
  batch: number,
  groups: readonly Group[],
): Promise<Group[]> {
  const keys = groups
    .filter(({ derivableMask }) => derivableMask !== 0)
    .flatMap((group) => group.keys)
    .sort(compareKeys);
  const [first, last] = [keys[0], keys.at(-1)];
  if (first === undefined || last === undefined) return [...groups];
  await recordTriggered(store, backfill, batch, [first, last]);
  const found = await store.project.allExact<{ k: Key; mask: bigint }>(
    `SELECT ${key} AS k, ${filledSql(backfill)} AS mask
    FROM ${identifier(backfill.table)} AS t WHERE ${from(first)} AND ${upTo(last)}`,
  );
  const now = new Map(found.map(({ k, mask }) => [k, Number(mask)]));
  return groups.flatMap((group) =>
    group.derivableMask === 0
      ? [group]
      : group.keys.map((k) => ({
          ...group,
          filledMask: (now.get(k) ?? 0) & group.derivableMask & group.nullMask,
          keys: [k],
        })),
  );
}
