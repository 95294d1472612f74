import type { PostgresStatements } from '../../db/postgres/statements.js';
import { BATCH_NUMBERS, OUR_TABLES } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { relationSql } from './relations.js';
import { IS_ME, IS_OURS, ME_AND_DATABASE, mayUse, roleSql, takeAway } from './trusted-roles.js';

// Who may write the ledger, and whose it should be.

/** SQL for the ledger's relations in a schema, as `c` and `n`: its tables, its sequence, and that of an identity. Takes the schema. */
export const IN_LEDGER = `n.nspname = ? AND (c.relname IN (${[...OUR_TABLES, BATCH_NUMBERS].map(literal).join(', ')})
  OR c.relkind = 'S' AND EXISTS (SELECT 1 FROM pg_depend AS y JOIN pg_class AS t ON t.oid = y.refobjid
    WHERE y.classid = 'pg_class'::regclass AND y.refclassid = y.classid AND y.objid = c.oid AND y.deptype = 'i'
      AND t.relnamespace = n.oid AND t.relname IN (${OUR_TABLES.map(literal).join(', ')})))`;

/** The owner of the project's tables, else this user, as SQL. */
const heirSql = (store: PostgresStatements): string =>
  `coalesce((SELECT w.rolname FROM pg_class AS t JOIN pg_roles AS w ON w.oid = t.relowner
    WHERE t.oid IN (${store.driver.tables.map((table) => namedSql(store, table)).join(', ') || 'NULL'}) LIMIT 1), session_user)`;

/** SQL that gives what a role has of the ledger to the owner of the tables; an identity's sequence goes with its table. */
export async function handOver(store: PostgresStatements, owner: string): Promise<string> {
  const statements = await store.pluck<string>(
    `SELECT 'ALTER ' || CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || quote_ident(n.nspname) || '.' || c.relname
      || ' OWNER TO ' || quote_ident(${heirSql(store)}) AS sql
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE ${IN_LEDGER} AND c.relowner = (SELECT oid FROM pg_roles WHERE rolname = ?)
      AND c.relname IN (${[...OUR_TABLES, BATCH_NUMBERS].map(literal).join(', ')}) ORDER BY c.relkind DESC, c.relname`,
    await store.ledgerSchema(),
    owner,
  );
  return statements.join('; ');
}

/** Refuses a ledger that others may write: by a grant, also of columns, or as members of `pg_write_all_data`. */
export async function refuseWriters(store: PostgresStatements): Promise<void> {
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
    await store.ledgerSchema(),
  );
  const [first] = grants;
  if (!first) return;
  const schema = identifier(await store.ledgerSchema());
  const table = `${schema}.${first.name}`;
  const { role } = first;
  const [roles, granted] = [true, false].map((isRole) =>
    grants.filter(({ right }) => (right === WRITE_ALL) === isRole),
  );
  const revoke = (what: string, from: typeof grants = []): string[] =>
    from.length === 0 ? [] : [`REVOKE ${what} FROM ${listed(from.map(({ grantee }) => roleSql(grantee)))}`];
  const rights = listed((granted ?? []).map(({ right }) => right));
  const tables = listed((granted ?? []).map((grant) => `${schema}.${grant.name}`));
  throw new BackfillError(
    'LEDGER_UNTRUSTED',
    `The role ${role} may write the ledger's table ${table}, which says what SQL this user runs`,
    takeAway([...revoke(`${rights} ON ${tables}`, granted), ...revoke(WRITE_ALL, roles)], role),
  );
}

const listed = (texts: readonly string[]): string => [...new Set(texts)].join(', ');

/**
 * Refuses a ledger of another that the owner of the tables has no right to: who made it was a superuser, or another member.
 *
 * @throws {BackfillError} `STORE_READONLY`
 */
export async function refuseUnusable(store: PostgresStatements, right: 'SELECT' | 'UPDATE'): Promise<void> {
  const found = await store.get<{ name: string; owner: string }>(
    `SELECT c.relname AS name, o.rolname AS owner
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS o ON o.oid = c.relowner
      JOIN pg_roles AS h ON h.rolname = ${heirSql(store)}
    WHERE ${IN_LEDGER} AND c.relkind = 'r' AND o.oid <> h.oid AND pg_has_role(h.oid, 'MEMBER')
      AND NOT has_table_privilege(c.oid, ${literal(right)}) ORDER BY c.relname LIMIT 1`,
    await store.ledgerSchema(),
  );
  if (!found) return;
  const { name, owner } = found;
  const table = `${identifier(await store.ledgerSchema())}.${name}`;
  throw new BackfillError(
    'STORE_READONLY',
    `The ledger's table ${table} belongs to ${owner}, and this user lacks the right ${right} on it`,
    `Hand the ledger over to the owner of the tables, as ${owner}: ${await handOver(store, owner)}`,
  );
}

/** The role whose members may write every table, from PostgreSQL 14 on. */
const WRITE_ALL = 'pg_write_all_data';

/** Rights to change a table, or what becomes of it. */
const WRITING = `'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'`;

/** The relation that an unqualified name means, as SQL. */
export const namedSql = (store: PostgresStatements, name: string): string =>
  relationSql(store).replace('?', literal(name));

/** The ledger's tables that there are, with their sequences. */
export const ledgerTables = async (store: PostgresStatements): Promise<string[]> =>
  await store.pluck<string>(
    `SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE ${IN_LEDGER}`,
    await store.ledgerSchema(),
  );

/** Takes from tables of the ledger that were just made what default privileges have granted to others, but to read. */
export async function withdrawGrants(store: PostgresStatements, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  const grants = await store.all<{ name: string; grantee: string; rights: string }>(
    `SELECT c.relname AS name, coalesce(g.rolname, 'PUBLIC') AS grantee, string_agg(DISTINCT x.privilege_type, ', ') AS rights
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) AS x
      LEFT JOIN pg_roles AS g ON g.oid = x.grantee
    WHERE n.nspname = ? AND c.relname IN (${names.map(literal).join(', ')}) AND x.grantee <> c.relowner AND x.privilege_type IN (${WRITING})
    GROUP BY c.relname, g.rolname`,
    await store.ledgerSchema(),
  );
  for (const { name, grantee, rights } of grants)
    await store.exec(
      `REVOKE ${rights} ON ${identifier(await store.ledgerSchema())}.${name} FROM ${roleSql(grantee)}`,
    );
}
