import type { Store } from '../../db/connection.js';
import { identifier, isSameName } from '../../db/sql.js';
import type { BackfillError } from '../../errors.js';
import type { CreatedObject } from '../../ledger/records.js';
import { type Message, msg, type PlainText } from '../../messages/message.js';
import type { SchemaStepDefinition } from '../../steps/schema-steps.js';
import type { Dialect } from '../dialect.js';
import { creatingText, objectText, schemaBlocked } from '../schema.js';
import { listSql, RELATIONS, relationFacts, relationSql, tableColumns, treeSql } from './catalog.js';

// PostgreSQL has no copy of a schema to try a step on, and DDL that is rolled back blocks others until then. So the catalog is
// queried for everything known to block a step; trigger functions are not inspected.

type Objects = readonly CreatedObject[];

/** Maximum length of a name, in bytes: PostgreSQL truncates longer ones. */
const LONGEST_NAME = 63;

function missingPrivilege(table: string, what: Message, right: string | Message): BackfillError {
  const hint = msg(
    'Grant it to this role, or run the same command as the owner of {table}; nothing was changed',
    { table },
  );
  return schemaBlocked(table, what, msg('the missing right {right}', { right }), hint);
}

/** Returns the error for an object of a step that cannot be created. */
const notCreatable = ({ table }: SchemaStepDefinition, object: CreatedObject, by: Message): BackfillError =>
  schemaBlocked(table, creatingText(object), by);

const named = (objects: Objects, kind: CreatedObject['kind']): string[] =>
  objects.filter((object) => object.kind === kind).map(({ name }) => name);

/** Checks by the catalog that a schema step can be applied, its columns filled and the step reverted. See the `Dialect`. */
export const preflightUp: Dialect['preflightUp'] = async (store, step, plan, made) => {
  const columns = plan.first.map(({ creates }) => creates).filter(({ kind }) => kind === 'column');
  const indexes = plan.indexes.map(({ creates }) => creates);
  await checkTable(store, step, columns, indexes);
  await checkColumns(store, step, columns);
  for (const index of indexes) await checkIndex(store, step, index, made);
  return (await blockers(store, step, [...made, ...indexes])).map((object) =>
    msg('`down` will be blocked by {object}', { object }),
  );
};

/** Refuses a table that cannot be altered, or not by this role. */
async function checkTable(store: Store, step: SchemaStepDefinition, columns: Objects, indexes: Objects) {
  const { table } = step;
  const facts = await relationFacts(store, table);
  if (!facts) return; // the caller has refused everything but tables
  const [change] = [...columns, ...indexes];
  if (facts.parent !== null && columns[0]) {
    const object = msg('table {name}, whose partition it is', { name: facts.parent });
    const hint = msg(
      'Declare the step for {table}, whose columns are those of its partitions, and backfills for the partitions; nothing was changed',
      { table: facts.parent },
    );
    throw schemaBlocked(table, creatingText(columns[0]), object, hint);
  }
  if (change && facts.isOwned === 0)
    throw missingPrivilege(table, creatingText(change), msg('to own the table'));
  if (indexes[0] && facts.mayCreate === 0)
    throw missingPrivilege(table, creatingText(indexes[0]), msg('CREATE on its schema'));
  if (step.columns.length === 0) return;
  if (facts.mayUpdate === 0) throw missingPrivilege(table, msg('Filling'), 'UPDATE');
  if (facts.hidesRows === 1)
    throw missingPrivilege(table, msg('Filling'), msg('BYPASSRLS, without which policies hide rows'));
}

const another = (kind: PlainText, name: string): Message =>
  msg('another {kind} named {name}', { kind: msg(kind), name });

async function checkColumns(store: Store, step: SchemaStepDefinition, planned: Objects): Promise<void> {
  for (const column of await tableColumns(store, step.table)) {
    const declared = step.columns.find(({ name }) => isSameName(name, column.name));
    if (!declared) continue;
    if (column.isGenerated)
      throw schemaBlocked(step.table, msg('Filling'), objectText('generated column', column.name));
    // SQLite considers the two names the same.
    if (declared.name !== column.name)
      throw notCreatable(step, { kind: 'column', name: declared.name }, another('column', column.name));
  }
  for (const column of planned) {
    const type = step.columns.find(({ name }) => name === column.name)?.type ?? 'text';
    await checkObject(store, step, column, `SELECT NULL::${type}`);
  }
}

/** Refuses an object whose name PostgreSQL would truncate, or whose `sql` does not compile. */
async function checkObject(store: Store, step: SchemaStepDefinition, object: CreatedObject, sql: string) {
  if (Buffer.byteLength(object.name) > LONGEST_NAME)
    throw notCreatable(step, object, msg('its name of more than {bytes} bytes', { bytes: LONGEST_NAME }));
  if (await store.compileError(sql)) throw notCreatable(step, object, msg('its declaration'));
}

/** Refuses an index whose columns or condition do not compile once the step's columns exist, or whose name is taken. */
async function checkIndex(store: Store, step: SchemaStepDefinition, planned: CreatedObject, made: Objects) {
  const index = step.indexes.find(({ name }) => name === planned.name);
  if (!index) return;
  const present = await tableColumns(store, step.table);
  const coming = step.columns
    .filter((column) => !present.some(({ name }) => name === column.name))
    .map(({ name, type }) => `, NULL::${type} AS ${identifier(name)}`);
  const table = identifier(step.table);
  const sql = `SELECT ${index.columns.map(identifier).join(', ')} FROM (SELECT *${coming.join('')} FROM ${table}) AS ${table}
    WHERE (\n${index.where ?? 'true'}\n)`;
  await checkObject(store, step, planned, sql);
  const found = await store.get<{ kind: string; isUnfinished: number }>(
    `SELECT c.relkind AS kind, coalesce(NOT i.indisvalid AND i.indrelid = t.oid, false) AS "isUnfinished"
    FROM pg_class AS t JOIN pg_class AS c ON c.relnamespace = t.relnamespace LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
    WHERE t.oid = ${relationSql(store, step.table)} AND c.relname = ?`,
    index.name,
  );
  if (found?.isUnfinished === 0)
    throw notCreatable(step, planned, another(RELATIONS[found.kind] ?? 'object', index.name));
  if (found && !named(made, 'index').includes(index.name))
    throw notCreatable(step, planned, objectText('invalid index', index.name));
}

/**
 * Objects that may depend on a column, by the catalog that contains them, with the SQL for their kind and name. `x` is the row in
 * that catalog, `h` the dependency.
 *
 * The index of a partition belongs to that of its table, the index of a constraint to the constraint. Up to PostgreSQL 14 a
 * generated column itself depends on those that it reads, later its expression does.
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

/**
 * Returns the objects that block dropping the columns among `objects`, partitions included, once the indexes among them are gone:
 * DROP COLUMN fails on them, or silently drops them as well.
 */
async function blockers(store: Store, step: SchemaStepDefinition, objects: Objects): Promise<Message[]> {
  const columns = named(objects, 'column');
  if (columns.length === 0) return [];
  const indexes = named(objects, 'index');
  const selects = OBJECTS.map(
    ([catalog, kind, name, rest = '']) =>
      `SELECT ${kind} AS kind, ${name}::text AS name FROM dependents AS h
      JOIN ${catalog} AS x ON h.classid = '${catalog}'::regclass AND x.oid = h.objid ${rest}`,
  );
  const found = await store.all<{ kind: PlainText; name: string }>(
    `${treeSql(store, step.table)}, dependents AS (
      SELECT d.classid, d.objid, d.objsubid, d.refobjsubid FROM pg_depend AS d JOIN tree ON tree.oid = d.refobjid
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE d.refclassid = 'pg_class'::regclass AND a.attname IN (${listSql(columns)}))
    ${selects.join('\nUNION ')}
    ORDER BY kind, name`,
  );
  return found
    .filter(({ kind, name }) => kind !== 'index' || !indexes.includes(name))
    .map(({ kind, name }) => objectText(kind, name));
}

/**
 * Checks by the catalog that a schema step can be reverted. Objects that DROP COLUMN would silently drop, such as an index of two
 * columns, also block it.
 */
export const preflightDown: Dialect['preflightDown'] = async (store, step, objects) => {
  if (!objects.some(({ kind }) => kind !== 'version')) return;
  const [object] = await blockers(store, step, objects);
  if (object !== undefined) throw schemaBlocked(step.table, msg('`down`'), object);
  if ((await relationFacts(store, step.table))?.isOwned === 0)
    throw missingPrivilege(step.table, msg('`down`'), msg('to own the table'));
};
