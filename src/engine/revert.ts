import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { countKeys } from '../ledger/keys.js';
import type { Backfill } from '../steps/define.js';
import type { FilledCells, FoundCells } from './batch.js';
import type { Given, Undone } from './derivation.js';
import { isDerivedSql, type LeftRow, leftRows } from './derive.js';
import { rowSql } from './rows.js';

/** Values that go back to the store at once. */
const PAGE = 1000;

/**
 * Sets cells that a batch filled to NULL where they still hold what the row derives. Runs inside its caller's
 * transaction.
 *
 * @throws {BackfillError} `STEP_DRIFTED` when the declaration has one of the columns no more, `UPDATE_IGNORED`
 */
export async function revertCells(
  store: Store,
  backfill: Backfill,
  { columns: filled, runs, absent }: FilledCells,
): Promise<FoundCells> {
  const names = filled.filter((name) => !absent.has(foldCase(name)));
  const gone = countKeys(runs) * (filled.length - names.length);
  if (names.length === 0 || runs.length === 0) return { reverted: 0, others: 0, gone };
  const columns = names.map((name) => backfill.columns.findIndex((column) => column.name === name));
  if (columns.includes(-1)) {
    throw new BackfillError(
      'STEP_DRIFTED',
      `${backfill.name} has filled ${names.join(', ')}, and its declaration does not say how any more`,
      'Put the step file back as it was applied, then run the same command again',
    );
  }
  const derivation = await store.dialect.derive(store, backfill);
  const { from, where, parameters } = derivation.ofKeys(runs);
  const rows = derivation.select({ from, where, absent });
  const left: LeftRow[] = [];
  for await (const page of leftRows(store, derivation, rows, [], parameters)) left.push(...page);
  const sets: Given[] = [];
  if (!derivation.isAlwaysLeft)
    sets.push({ sql: `SELECT * FROM (${rows}) AS derived WHERE ${isDerivedSql(derivation)}`, parameters });
  const { key } = await rowSql(store, backfill);
  const cells = columns.map((i) => `t.${identifier(backfill.columns[i]?.name ?? '')} AS c${i}, given.v${i}`);
  for (let at = 0; at < left.length; at += PAGE) {
    const given = derivation.given(left.slice(at, at + PAGE));
    sets.push({
      ...given,
      sql: `SELECT given.k, ${cells.join(', ')} FROM ${given.sql} CROSS JOIN ${identifier(backfill.table)} AS t
      WHERE ${key} ${store.dialect.operator('=')} given.k`,
    });
  }
  const total = { rows: 0, reverted: 0, others: 0 };
  for (const set of sets) {
    const undone: Undone = await store.dialect.undo(store, derivation, columns, set);
    total.rows += undone.rows;
    total.reverted += undone.reverted;
    total.others += undone.others;
  }
  const { rows: found, reverted, others } = total;
  return { reverted, others, gone: gone + (countKeys(runs) - found) * names.length };
}
