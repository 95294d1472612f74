import type { Backfill } from '../../backfill/define.js';
import type { KeyKind } from '../keys.js';
import type { Store } from '../port.js';
import { foldCase } from '../sql.js';
import { columnTypes } from './inspect.js';
import { keyKind } from './keys.js';
import { requirePostgres } from './statements.js';
import { typeSql } from './texts.js';

/** Types of a table's columns, by their names in folded case. */
export const typesOf = async (store: Store, table: string): Promise<Map<string, string>> =>
  await requirePostgres(store).remember(`types of ${table}`, async () => await columnTypes(store, table));

/** What the key of a backfill is made of, and its column's type as SQL; it has been checked by now. */
export async function keyTypeOf(
  store: Store,
  backfill: Pick<Backfill, 'table' | 'key'>,
): Promise<{ readonly kind: KeyKind; readonly type: string }> {
  const type = (await typesOf(store, backfill.table)).get(foldCase(backfill.key)) ?? 'text';
  return { kind: (await keyKind(store, backfill)) ?? 'text', type: typeSql(type) };
}
