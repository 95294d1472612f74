import type { Backfill } from '../../backfill/define.js';
import type { KeyKind } from '../keys.js';
import type { Store } from '../port.js';
import { foldCase } from '../sql.js';
import { columnTypes } from './inspect.js';
import { keyKind } from './keys.js';
import { requirePostgres } from './store.js';
import { typeSql } from './texts.js';

/** Types of a table's columns, by their names in folded case. */
export const typesOf = (store: Store, table: string): Map<string, string> =>
  requirePostgres(store).remember(`types of ${table}`, () => columnTypes(store, table));

/** What the key of a backfill is made of, and its column's type as SQL; it has been checked by now. */
export function keyTypeOf(
  store: Store,
  backfill: Pick<Backfill, 'table' | 'key'>,
): { readonly kind: KeyKind; readonly type: string } {
  const type = typesOf(store, backfill.table).get(foldCase(backfill.key)) ?? 'text';
  return { kind: keyKind(store, backfill) ?? 'text', type: typeSql(type) };
}
