import type { PostgresStatements } from '../../db/postgres/statements.js';
import { BATCH_NUMBERS, OUR_TABLES, XIDS_TABLE } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { msg, type PlainText } from '../../messages/message.js';
import { listSql, RELATIONS, relationSql } from './catalog.js';
import { connectAs, IS_ME, IS_OURS, isSuper, ME_AND_DATABASE, mayUse, roleSql, takeAway } from './rights.js';

/** SQL lists of the ledger's tables, and of these and its sequence. */
const TABLES = listSql(OUR_TABLES);
const NAMES = `${TABLES}, ${literal(BATCH_NUMBERS)}`;

/**
 * SQL condition for the ledger's relations in a schema, as `c` and `n`: its tables, its sequence, and that of an identity column.
 * The schema is its parameter.
 */
const IN_LEDGER = `n.nspname = ? AND (c.relname IN (${NAMES})
  OR c.relkind = 'S' AND EXISTS (SELECT 1 FROM pg_depend AS y JOIN pg_class AS t ON t.oid = y.refobjid
    WHERE y.classid = 'pg_class'::regclass AND y.refclassid = y.classid AND y.objid = c.oid AND y.deptype = 'i'
      AND t.relnamespace = n.oid AND t.relname IN (${TABLES})))`;

/** Rights to change a table, or to act on changes. */
const WRITING = `'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'`;

/** The role whose members may write every table, from PostgreSQL 14. */
const WRITE_ALL = 'pg_write_all_data';

/** Returns the names of the ledger's relations that exist. */
export const ledgerTables = async (store: PostgresStatements): Promise<string[]> =>
  await store.pluck<string>(
    `SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE ${IN_LEDGER}`,
    await store.driver.ledgerSchema(),
  );

/** Faults that a relation of the ledger may have, each with its condition on `c`, a row of `pg_class`. */
const ODDITIES: readonly (readonly [fault: PlainText, condition: string])[] = [
  ['it is not a plain table', `c.relkind <> CASE WHEN c.relname IN (${TABLES}) THEN 'r' ELSE 'S' END`],
  ['it has triggers', 'EXISTS (SELECT 1 FROM pg_trigger AS x WHERE x.tgrelid = c.oid)'],
  ['it has rules', 'EXISTS (SELECT 1 FROM pg_rewrite AS x WHERE x.ev_class = c.oid)'],
  [
    'it has row security',
    'c.relrowsecurity OR EXISTS (SELECT 1 FROM pg_policy AS x WHERE x.polrelid = c.oid)',
  ],
  [
    'it has constraints',
    `EXISTS (SELECT 1 FROM pg_constraint AS x WHERE x.conrelid = c.oid AND x.contype NOT IN ('p', 'n'))`,
  ],
  [
    'it has defaults',
    `EXISTS (SELECT 1 FROM pg_attrdef AS x WHERE x.adrelid = c.oid AND pg_get_expr(x.adbin, x.adrelid) <> '0')
    OR EXISTS (SELECT 1 FROM pg_attribute AS x WHERE x.attrelid = c.oid AND x.attgenerated <> '')`,
  ],
  [
    'it has other types',
    `c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_attribute AS x
    WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped
      AND x.atttypid NOT IN ('text'::regtype, 'bigint'::regtype, 'double precision'::regtype, 'bytea'::regtype))`,
  ],
  [
    'it has indexes on expressions',
    `EXISTS (SELECT 1 FROM pg_index AS x WHERE x.indrelid = c.oid
    AND (x.indpred IS NOT NULL OR x.indexprs IS NOT NULL AND c.relname <> ${literal(XIDS_TABLE)}))`,
  ],
  [
    'it has inheriting tables or partitions',
    'EXISTS (SELECT 1 FROM pg_inherits AS x WHERE c.oid IN (x.inhparent, x.inhrelid))',
  ],
];

/** A relation of the ledger. */
interface LedgerRelation {
  readonly name: string;
  readonly kind: string;
  readonly owner: string;
  /** Its difference from what this program creates; empty if its owner is not trusted, null if it does not differ. */
  readonly fault: PlainText | '' | null;
  /** Whether confirmation would make its owner trusted. */
  readonly isLifted: number;
  /** Whether this user lacks the right on it, which the owner of the project's tables should have. */
  readonly isUnusable: number;
  /** Statement that makes that owner, or this user if there are no tables, its owner; null if it belongs to a table. */
  readonly handOver: string | null;
}

/**
 * Refuses a ledger that this program has not created as it is. Code planted there would run, and rows planted there would decide
 * what SQL a `down` runs. Trusted owners are this user, roles that it is a member of, superusers, the owners of the database and of
 * the project's tables, and their members. A superuser trusts only superusers, unless this is confirmed. Also refuses a ledger that
 * the owner of the tables cannot use, because a superuser or another member created it.
 *
 * @param right right that this user needs on its tables
 * @throws {BackfillError} `LEDGER_UNTRUSTED`, `STORE_READONLY`
 */
export async function refuseUnsafeLedger(
  store: PostgresStatements,
  right: 'SELECT' | 'UPDATE' = 'SELECT',
): Promise<void> {
  const relations = await ledgerRelations(store, right);
  if (relations.length === 0) return;
  const schema = identifier(await store.driver.ledgerSchema());
  const handOver = (from: string): string =>
    relations.flatMap((relation) => (relation.owner === from ? (relation.handOver ?? []) : [])).join('; ');
  const faulty = relations.find(({ fault }) => fault !== null);
  if (faulty) throw untrusted(faulty, `${schema}.${faulty.name}`, handOver(faulty.owner));
  if (!store.driver.trustsOthers) await refuseWriters(store, schema);
  const unusable = relations.find(({ isUnusable }) => isUnusable === 1);
  if (!unusable) return;
  const { owner } = unusable;
  const table = `${schema}.${unusable.name}`;
  throw new BackfillError(
    'STORE_READONLY',
    msg("The ledger's table {table} belongs to {owner}, and this user lacks the right {right} on it", {
      table,
      owner,
      right,
    }),
    msg('Hand the ledger over to the owner of the tables, as {owner}: {statements}', {
      owner,
      statements: handOver(owner),
    }),
  );
}

async function ledgerRelations(
  store: PostgresStatements,
  right: 'SELECT' | 'UPDATE',
): Promise<LedgerRelation[]> {
  const { tables, trustsOthers } = store.driver;
  const oids = tables.map((table) => relationSql(store, table));
  const odd = ODDITIES.map(([fault, condition]) => `WHEN ${condition} THEN ${literal(fault)}`);
  return await store.all<LedgerRelation>(
    `WITH owners AS (SELECT t.relowner AS oid FROM pg_class AS t WHERE t.oid IN (${oids.join(', ') || 'NULL'}))
    SELECT c.relname AS name, c.relkind AS kind, o.rolname AS owner,
      CASE WHEN (${isSuper('o.oid')} OR ${trustsOthers ? '' : 'NOT s."isSuper" AND'} x."isOwned") IS NOT TRUE THEN '' ${odd.join(' ')} END AS fault,
      s."isSuper" AND x."isOwned" AS "isLifted",
      c.relkind = 'r' AND o.oid <> h.oid AND pg_has_role(h.oid, 'MEMBER')
        AND NOT has_table_privilege(c.oid, ${literal(right)}) AS "isUnusable",
      CASE WHEN c.relname IN (${NAMES}) THEN format('ALTER %s %I.%s OWNER TO %I',
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname, h.rolname) END AS "handOver"
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS o ON o.oid = c.relowner
      CROSS JOIN ${ME_AND_DATABASE} JOIN pg_roles AS h ON h.oid = coalesce((SELECT oid FROM owners LIMIT 1), me.oid)
      CROSS JOIN LATERAL (SELECT ${isSuper('me.oid')} AS "isSuper") AS s
      CROSS JOIN LATERAL (SELECT NOT s."isSuper" AND pg_has_role(me.oid, c.relowner, 'MEMBER')
        OR pg_has_role(c.relowner, me.oid, 'MEMBER') OR pg_has_role(c.relowner, d.datdba, 'MEMBER')
        OR EXISTS (SELECT 1 FROM owners WHERE pg_has_role(c.relowner, owners.oid, 'MEMBER')) AS "isOwned") AS x
    WHERE ${IS_ME} AND ${IN_LEDGER} ORDER BY c.relkind = 'S', c.relname`,
    await store.driver.ledgerSchema(),
  );
}

function untrusted(
  { owner, kind, isLifted, fault }: LedgerRelation,
  table: string,
  handOver: string,
): BackfillError {
  const statement = `DROP ${(RELATIONS[kind] ?? 'table').toUpperCase()} ${table}`;
  if (fault) {
    const values = { table, fault: msg(fault) };
    return new BackfillError(
      'LEDGER_UNTRUSTED',
      msg("The ledger's table {table} is not as this program creates it: {fault}", values),
      msg(
        'Connect as {owner} and remove what was added to it, if it is the ledger of that role; if it was planted, drop it: {statement}',
        { owner, statement },
      ),
    );
  }
  return new BackfillError(
    'LEDGER_UNTRUSTED',
    msg("The ledger's table {table} is not as this program creates it: it belongs to {owner}", {
      table,
      owner,
    }),
    isLifted === 1
      ? connectAs(owner)
      : msg(
          'Hand it over, if you know it as the ledger of {owner}, as that role: {statements}; if it was planted, drop it: {statement}',
          { owner, statements: handOver, statement },
        ),
  );
}

/** Refuses a ledger that other roles may write: by a grant, also on columns, or as members of `pg_write_all_data`. */
async function refuseWriters(store: PostgresStatements, schema: string): Promise<void> {
  const grants = await store.all<{ name: string; grantee: string; right: string; role: string }>(
    `SELECT c.relname AS name, coalesce(q.rolname, 'PUBLIC') AS grantee, x.privilege AS "right", min(r.rolname) AS role
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace CROSS JOIN ${ME_AND_DATABASE}
      CROSS JOIN LATERAL (SELECT grantee, privilege_type FROM aclexplode(c.relacl)
        UNION SELECT y.grantee, y.privilege_type FROM pg_attribute AS b CROSS JOIN LATERAL aclexplode(b.attacl) AS y WHERE b.attrelid = c.oid
        UNION SELECT m.member, ${literal(WRITE_ALL)} FROM pg_auth_members AS m JOIN pg_roles AS w ON w.oid = m.roleid
          WHERE w.rolname = ${literal(WRITE_ALL)}) AS x (grantee, privilege)
      LEFT JOIN pg_roles AS q ON q.oid = x.grantee JOIN pg_roles AS r ON ${mayUse('x.grantee')}
    WHERE ${IS_ME} AND ${IN_LEDGER} AND x.privilege IN (${WRITING}, ${literal(WRITE_ALL)})
      AND NOT ${IS_OURS} AND NOT pg_has_role(r.oid, c.relowner, 'MEMBER')
    GROUP BY c.relname, q.rolname, x.privilege ORDER BY c.relname, x.privilege = ${literal(WRITE_ALL)}, q.rolname, x.privilege`,
    await store.driver.ledgerSchema(),
  );
  const [first] = grants;
  if (!first) return;
  const { role } = first;
  const table = `${schema}.${first.name}`;
  const memberships = grants.filter(({ right }) => right === WRITE_ALL);
  const granted = grants.filter(({ right }) => right !== WRITE_ALL);
  const rights = listed(granted.map(({ right }) => right));
  const tables = listed(granted.map((grant) => `${schema}.${grant.name}`));
  const revoke = (what: string, from: typeof grants): string[] =>
    from.length === 0 ? [] : [`REVOKE ${what} FROM ${listed(from.map(({ grantee }) => roleSql(grantee)))}`];
  throw new BackfillError(
    'LEDGER_UNTRUSTED',
    msg("The role {role} may write the ledger's table {table}, which decides what SQL this user runs", {
      role,
      table,
    }),
    takeAway([...revoke(`${rights} ON ${tables}`, granted), ...revoke(WRITE_ALL, memberships)], role),
  );
}

const listed = (texts: readonly string[]): string => [...new Set(texts)].join(', ');

/** Revokes write grants that default privileges gave to others on newly created tables of the ledger. */
export async function withdrawGrants(store: PostgresStatements, names: readonly string[]): Promise<void> {
  const revokes = await store.pluck<string>(
    `SELECT format('REVOKE %s ON %I.%I FROM %s', string_agg(DISTINCT x.privilege_type, ', '), n.nspname, c.relname,
      coalesce(quote_ident(g.rolname), 'PUBLIC'))
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) AS x
      LEFT JOIN pg_roles AS g ON g.oid = x.grantee
    WHERE n.nspname = ? AND c.relname IN (${listSql(names)}) AND x.grantee <> c.relowner AND x.privilege_type IN (${WRITING})
    GROUP BY n.nspname, c.relname, g.rolname`,
    await store.driver.ledgerSchema(),
  );
  for (const sql of revokes) await store.exec(sql);
}
