import type { Store } from '../../db/connection.js';
import { places, tree } from './relations.js';

/** Something that hangs on a column: DROP COLUMN fails on it, or drops it as well without a word. */
export interface Dependent {
  /** As a person calls it: `materialized view`. */
  readonly kind: string;
  readonly name: string;
}

/**
 * Objects by the catalog that holds them: what each is called there. `x` is its row, `h` the column that it hangs on.
 *
 * The index of a partition goes with that of its table, the index of a constraint with that. Up to PostgreSQL 14 a generated column
 * hangs by itself on those that it reads, later by its expression.
 *
 * @see https://www.postgresql.org/docs/current/catalog-pg-depend.html
 */
const OBJECTS: readonly (readonly [catalog: string, kind: string, name: string, rest?: string])[] = [
  [
    'pg_class',
    `CASE x.relkind WHEN 'S' THEN 'sequence' ELSE 'index' END`,
    'x.relname',
    'WHERE h.objsubid = 0 AND NOT x.relispartition',
  ],
  [
    'pg_rewrite',
    `CASE v.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'rule' END`,
    `CASE WHEN v.relkind IN ('v', 'm') THEN v.relname ELSE x.rulename END`,
    'JOIN pg_class AS v ON v.oid = x.ev_class',
  ],
  [
    'pg_class',
    `'generated column'`,
    'a.attname',
    'JOIN pg_attribute AS a ON a.attrelid = x.oid AND a.attnum = h.objsubid WHERE h.objsubid > 0',
  ],
  [
    'pg_attrdef',
    `'generated column'`,
    'a.attname',
    'JOIN pg_attribute AS a ON a.attrelid = x.adrelid AND a.attnum = x.adnum WHERE x.adnum <> h.refobjsubid',
  ],
  ['pg_constraint', `'constraint'`, 'x.conname', `WHERE x.contype <> 'n'`], // NOT NULL is a part of the column
  ['pg_trigger', `'trigger'`, 'x.tgname', 'WHERE NOT x.tgisinternal'],
  ['pg_policy', `'policy'`, 'x.polname'],
  ['pg_proc', `'function'`, 'x.proname'],
  ['pg_statistic_ext', `'statistics'`, 'x.stxname'],
  ['pg_publication_rel', `'publication'`, 'p.pubname', 'JOIN pg_publication AS p ON p.oid = x.prpubid'],
];

/** What hangs on columns of a table or of its partitions, in an order of its own. */
export async function dependents(
  store: Store,
  table: string,
  columns: readonly string[],
): Promise<Dependent[]> {
  const selects = OBJECTS.map(
    ([catalog, kind, name, rest = '']) =>
      `SELECT ${kind} AS kind, ${name}::text AS name FROM hanging AS h
      JOIN ${catalog} AS x ON h.classid = '${catalog}'::regclass AND x.oid = h.objid ${rest}`,
  );
  return await store.all(
    `${tree(store)}, hanging AS (
      SELECT d.classid, d.objid, d.objsubid, d.refobjsubid FROM pg_depend AS d JOIN tree ON tree.oid = d.refobjid
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE d.refclassid = 'pg_class'::regclass AND a.attname IN (${places(columns)}))
    ${selects.join('\nUNION ')}
    ORDER BY kind, name`,
    table,
    ...columns,
  );
}
