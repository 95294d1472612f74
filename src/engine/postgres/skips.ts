import type { Store } from '../../db/connection.js';
import { literal } from '../../db/sql.js';
import { compareKeys, type Key, packKeys, packTexts } from '../../ledger/keys.js';
import type { CellsRecord, SkipRecord } from '../../ledger/records.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import type { Backfill } from '../../steps/define.js';
import type { FillOptions } from '../batch.js';

/** Rows of a batch that became the same. */
export interface Group {
  /** Bits of the columns that were NULL. */
  readonly wanted: number;
  /** Bits of the columns that there is a value for. */
  readonly offered: number;
  /** Bits of the columns that hold one now. */
  readonly filled: number;
  readonly failure: string | null;
  readonly keys: readonly Key[];
}

/** Skips that one statement records. */
const AT_ONCE = 1000;

/** Records what a batch leaves alone; what an earlier run recorded of its rows is gone by now. Returns how many there are. */
export async function recordSkips(
  store: Store,
  { name }: Backfill,
  batch: number,
  skips: readonly SkipRecord[],
): Promise<number> {
  for (let i = 0; i < skips.length; i += AT_ONCE) {
    const rows = skips.slice(i, i + AT_ONCE).map(({ key, target, reason }) => {
      const cell = String(store.dialect.toLedger(key));
      return `(${[name, cell, target, reason].map(literal).join(', ')}, ${batch})`;
    });
    await store.run(
      `INSERT INTO ${LEDGER_TABLES.skips} (backfill, key, target, reason, batch) VALUES ${rows.join(', ')}`,
    );
  }
  return skips.length;
}

/** What a batch leaves alone. */
export function skippedRows(
  backfill: Backfill,
  groups: readonly Group[],
  refused: FillOptions['refused'],
): SkipRecord[] {
  return groups.flatMap(({ keys, failure, wanted, offered, filled: mask }) => {
    if (failure !== null) return keys.map((key) => ({ key, target: '*', reason: failure }));
    return keys.flatMap((key): SkipRecord[] => {
      if (key === refused?.key) return [{ key, target: '*', reason: refused.code }];
      return backfill.columns.flatMap(({ name }, i) => {
        if (!((wanted >> i) & 1) || (mask >> i) & 1) return [];
        return [{ key, target: name, reason: (offered >> i) & 1 ? 'UPDATE_IGNORED' : 'NO_USABLE_VALUE' }];
      });
    });
  });
}

/** How many bits a mask has. */
export const bits = (mask: number): number => (mask === 0 ? 0 : (mask & 1) + bits(mask >> 1));

/** What a batch filled, as the ledger has it. */
export function filledCells(
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
