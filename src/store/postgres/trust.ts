import { BackfillError } from '../../errors.js';
import { BATCH_NUMBERS, XIDS_TABLE } from '../../ledger/shared-ledger.js';
import { identifier, literal } from '../sql.js';
import { relationSql, tree } from './inspect.js';
import type { PostgresStore } from './store.js';
import { OUR_TABLES } from './texts.js';

/**
 * Whom a session trusts that names things: PostgreSQL looks for a function, an operator or a table in the schemas of the search path, and
 * whoever may make one there, or owns what is read, has his code run by this user. It is this session's user that counts: code that
 * runs under another role takes that off with RESET ROLE.
 *
 * @see https://wiki.postgresql.org/wiki/A_Guide_to_CVE-2018-1058:_Protect_Your_Search_Path
 */

/** This user, with the database's owner, as `me` and `d`. */
const ME_AND_DATABASE = `pg_roles AS me JOIN pg_database AS d ON d.datname = current_database()`;
const IS_ME = 'me.rolname = session_user';

/** SQL that is true for a role that is a superuser or may become one, also by what it may have the server write or run. */
const isSuper = (role: string): string =>
  `EXISTS (SELECT 1 FROM pg_roles AS s WHERE (s.rolsuper OR s.rolname IN ('pg_execute_server_program', 'pg_write_server_files'))
    AND pg_has_role(${role}, s.oid, 'MEMBER'))`;

/** SQL for the roles that log in, are no superusers, and have what a grant gives: `r`, where `grantee` is a role, or 0 for all. */
const mayUse = (grantee: string): string =>
  `r.rolcanlogin AND NOT ${isSuper('r.oid')} AND has_database_privilege(r.oid, d.oid, 'CONNECT')
    AND (${grantee} = 0 OR pg_has_role(r.oid, ${grantee}, 'MEMBER'))`;

/** SQL that is true for a role `r` that may do what this user does, or is the owner of the database, whom a superuser does not trust. */
const IS_OURS = `(pg_has_role(r.oid, me.oid, 'MEMBER') OR NOT ${isSuper('me.oid')} AND pg_has_role(r.oid, d.datdba, 'MEMBER'))`;

/** A role as SQL has it. */
const roleSql = (name: string): string => (name === 'PUBLIC' ? name : identifier(name));

/**
 * Refuses a search path in which another may make objects than this user, the owners of the database and of the schema, and superusers. A
 * schema that has this user's name may be in the path as `$user`: its owner is trusted only where this user is a member of that. A
 * superuser trusts no owner.
 *
 * @throws {BackfillError} `SEARCH_PATH_UNSAFE`, `SUPERUSER_REFUSED`
 */
export function refuseUnsafePath(store: PostgresStore): void {
  const found = store.get<{
    schema: string;
    role: string;
    grantee: string;
    isOwner: number;
    isSuper: number;
  }>(
    `SELECT n.nspname AS schema, r.rolname AS role, coalesce(g.rolname, 'PUBLIC') AS grantee, a.grantee = n.nspowner AS "isOwner",
      ${isSuper('me.oid')} AS "isSuper"
    FROM pg_namespace AS n CROSS JOIN ${ME_AND_DATABASE}
      CROSS JOIN LATERAL (SELECT x.grantee FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS x
        WHERE x.privilege_type = 'CREATE' UNION SELECT n.nspowner) AS a
      LEFT JOIN pg_roles AS g ON g.oid = a.grantee
      JOIN pg_roles AS r ON ${mayUse('a.grantee')}
    WHERE ${IS_ME} AND n.nspname IN (${store.connection.schemas.map(literal).join(', ')}) AND NOT ${IS_OURS}
      AND NOT (NOT ${isSuper('me.oid')} AND pg_has_role(r.oid, n.nspowner, 'MEMBER')
        AND (n.nspname <> session_user OR pg_has_role(me.oid, n.nspowner, 'MEMBER')))
    ORDER BY a.grantee <> 0, n.nspname, r.oid NOT IN (n.nspowner, d.datdba), r.rolname LIMIT 1`,
  );
  if (!found) return;
  const { schema, role, grantee, isOwner } = found;
  if (isOwner === 1 && found.isSuper === 1)
    throw new BackfillError(
      'SUPERUSER_REFUSED',
      `The schema ${schema} of the search path belongs to ${role}, and this user is a superuser, as which what that owner plants there could run`,
      connectAs(role),
    );
  throw new BackfillError(
    'SEARCH_PATH_UNSAFE',
    `The role ${role} may create objects in the schema ${schema} of the search path, and what it plants there could run as this user`,
    isOwner === 1
      ? `Leave the schema out of the search path: ALTER ROLE … SET search_path = …; if ${role} may do whatever this user may, run it again with --yes`
      : `Take that right away: REVOKE CREATE ON SCHEMA ${identifier(schema)} FROM ${roleSql(grantee)}; if ${role} may do whatever this user may, run it again with --yes`,
  );
}

const connectAs = (owner: string): string =>
  `Connect as ${owner}, since a trigger can undo SET ROLE; if ${owner} may do whatever a superuser may, run it again with --yes`;

/**
 * Refuses a table that a superuser is about to read or write and that another owns: triggers, index expressions and types of the owner's
 * would run with every right there is. Those of partitions, heirs and parents count too. Does nothing where there is no such table, or a person has agreed.
 *
 * @throws {BackfillError} `SUPERUSER_REFUSED`
 */
export function refuseForeignTable(store: PostgresStore, table: string): void {
  if (store.trustsOthers) return;
  const isSuperuser = `SELECT ${isSuper('me.oid')} AS "isSuper" FROM pg_roles AS me WHERE ${IS_ME}`;
  if (store.remember(isSuperuser, () => store.pluck<number>(isSuperuser)[0]) !== 1) return;
  const found = store.get<{ name: string; owner: string }>(
    `${tree(store)} SELECT c.relname AS name, o.rolname AS owner FROM pg_class AS c JOIN pg_roles AS o ON o.oid = c.relowner
    WHERE (c.oid IN (SELECT tree.oid FROM tree) OR c.oid IN (SELECT pg_partition_ancestors(${relationSql(store)})))
      AND NOT ${isSuper('o.oid')} ORDER BY c.relname <> ?, c.relname LIMIT 1`,
    table,
    table,
    table,
  );
  if (!found) return;
  throw new BackfillError(
    'SUPERUSER_REFUSED',
    `The table ${found.name} belongs to ${found.owner}, and this user is a superuser, as which triggers and indexes of that owner could run code`,
    connectAs(found.owner),
  );
}

/** The schema where the search path finds a ledger, of whatever kind, else where it makes tables. */
export function findLedgerSchema(store: PostgresStore): string {
  const schemas = store.connection.schemas.filter((name) => name !== 'pg_catalog');
  const [found] = store.pluck<string>(
    `SELECT p.name FROM unnest(ARRAY[${schemas.map(literal).join(', ')}]::text[]) WITH ORDINALITY AS p (name, at)
      JOIN pg_namespace AS n ON n.nspname = p.name JOIN pg_class AS c ON c.relnamespace = n.oid
    WHERE c.relname = ${literal(OUR_TABLES[0] ?? '')} ORDER BY p.at LIMIT 1`,
  );
  return found ?? schemas[0] ?? 'public';
}

/** What the ledger's columns are of, and their only default beside none. */
const [OUR_TYPES, OUR_DEFAULT] = [
  `'text'::regtype, 'bigint'::regtype, 'double precision'::regtype, 'bytea'::regtype`,
  '0',
];

/** Whatever of the ledger's tables this program does not make, each by a condition on `c`, from `pg_class`. */
const ODDITIES: readonly (readonly [condition: string, what: string])[] = [
  [`c.relkind <> CASE c.relname WHEN ${literal(BATCH_NUMBERS)} THEN 'S' ELSE 'r' END`, 'is no plain table'],
  ['EXISTS (SELECT 1 FROM pg_trigger AS x WHERE x.tgrelid = c.oid)', 'has triggers'],
  ['EXISTS (SELECT 1 FROM pg_rewrite AS x WHERE x.ev_class = c.oid)', 'has rules'],
  ['c.relrowsecurity OR EXISTS (SELECT 1 FROM pg_policy AS x WHERE x.polrelid = c.oid)', 'has row security'],
  [
    `EXISTS (SELECT 1 FROM pg_constraint AS x WHERE x.conrelid = c.oid AND x.contype NOT IN ('p', 'n'))`,
    'has constraints',
  ],
  [
    `EXISTS (SELECT 1 FROM pg_attrdef AS x WHERE x.adrelid = c.oid AND pg_get_expr(x.adbin, x.adrelid) <> ${literal(OUR_DEFAULT)})
      OR EXISTS (SELECT 1 FROM pg_attribute AS x WHERE x.attrelid = c.oid AND x.attgenerated <> '')`,
    'has defaults',
  ],
  [
    `c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_attribute AS x
      WHERE x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped AND x.atttypid NOT IN (${OUR_TYPES}))`,
    'has other types',
  ],
  [
    `EXISTS (SELECT 1 FROM pg_index AS x WHERE x.indrelid = c.oid
      AND (x.indpred IS NOT NULL OR x.indexprs IS NOT NULL AND c.relname <> ${literal(XIDS_TABLE)}))`,
    'has indexes on expressions',
  ],
  [
    'EXISTS (SELECT 1 FROM pg_inherits AS x WHERE c.oid IN (x.inhparent, x.inhrelid))',
    'has heirs or partitions',
  ],
];

/**
 * Refuses a ledger that this program has not made as it is: what is planted there would run, or be taken for what was filled, which says
 * what SQL a `down` runs. It may belong to this user or a role that it is a member of, a superuser, the owner of the database or that of
 * one of the project's tables; to a superuser, only to superusers, unless a person has agreed.
 *
 * @throws {BackfillError} `LEDGER_UNTRUSTED`
 */
export function refuseUnsafeLedger(store: PostgresStore): void {
  const names = [...OUR_TABLES, BATCH_NUMBERS].map(literal).join(', ');
  const odd = ODDITIES.map(([condition, what]) => `WHEN ${condition} THEN ${literal(what)}`);
  const owners = store.tables.map(
    (table) => `c.relowner = (SELECT t.relowner FROM pg_class AS t WHERE t.oid = ${namedSql(store, table)})`,
  );
  const isOwners = [
    `NOT ${isSuper('me.oid')} AND pg_has_role(me.oid, c.relowner, 'MEMBER')`,
    'c.relowner = d.datdba',
    ...owners,
  ];
  const isOwned = `${isSuper('o.oid')} OR ${store.trustsOthers ? '' : `NOT ${isSuper('me.oid')} AND `}(${isOwners.join(' OR ')})`;
  const found = store.get<{
    name: string;
    owner: string;
    what: string | null;
    grantee: string | null;
    role: string | null;
  }>(
    `SELECT l.* FROM (
      SELECT c.relname AS name, o.rolname AS owner,
        CASE WHEN NOT (${isOwned}) THEN '' ${odd.join(' ')} END AS what, g.grantee, g.role
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS o ON o.oid = c.relowner
        CROSS JOIN ${ME_AND_DATABASE}
        LEFT JOIN LATERAL (SELECT coalesce(q.rolname, 'PUBLIC') AS grantee, r.rolname AS role
          FROM aclexplode(c.relacl) AS x LEFT JOIN pg_roles AS q ON q.oid = x.grantee JOIN pg_roles AS r ON ${mayUse('x.grantee')}
          WHERE c.relkind = 'r' AND x.privilege_type IN (${WRITING}) AND NOT ${IS_OURS} AND NOT pg_has_role(r.oid, c.relowner, 'MEMBER')
          LIMIT 1) AS g ON true
      WHERE ${IS_ME} AND n.nspname = ? AND c.relname IN (${names})) AS l
    WHERE l.what IS NOT NULL OR l.grantee IS NOT NULL ORDER BY l.what IS NULL, l.name LIMIT 1`,
    store.ledgerSchema,
  );
  if (!found) return;
  const { name, owner, what, grantee, role } = found;
  const table = `${identifier(store.ledgerSchema)}.${name}`;
  if (what !== null)
    throw new BackfillError(
      'LEDGER_UNTRUSTED',
      `The ledger's table ${table} is not as this program makes it: it ${what === '' ? `belongs to ${owner}` : what}`,
      `If it is the ledger of ${owner}, connect as that role and take off what was added to it; if it was planted, drop it: DROP TABLE ${table}`,
    );
  if (store.trustsOthers) return;
  throw new BackfillError(
    'LEDGER_UNTRUSTED',
    `The role ${role} may write the ledger's table ${table}, which says what SQL this user runs`,
    `Take that right away: REVOKE ${WRITING.replaceAll("'", '')} ON ${table} FROM ${roleSql(grantee ?? '')}; if ${role} may do whatever this user may, run it again with --yes`,
  );
}

/** Rights to change a table, or what becomes of it. */
const WRITING = `'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'`;

/** The relation that an unqualified name means, as SQL. */
const namedSql = (store: PostgresStore, name: string): string =>
  relationSql(store).replace('?', literal(name));

/** The ledger's tables that there are. */
export const ledgerTables = (store: PostgresStore): string[] =>
  store.pluck<string>(
    `SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ? AND c.relname IN (${OUR_TABLES.map(literal).join(', ')})`,
    store.ledgerSchema,
  );

/** Takes from tables of the ledger that were just made what default privileges have granted to others, but to read. */
export function withdrawGrants(store: PostgresStore, names: readonly string[]): void {
  if (names.length === 0) return;
  const grants = store.all<{ name: string; grantee: string }>(
    `SELECT DISTINCT c.relname AS name, coalesce(g.rolname, 'PUBLIC') AS grantee
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) AS x
      LEFT JOIN pg_roles AS g ON g.oid = x.grantee
    WHERE n.nspname = ? AND c.relname IN (${names.map(literal).join(', ')}) AND x.grantee <> c.relowner AND x.privilege_type IN (${WRITING})`,
    store.ledgerSchema,
  );
  for (const { name, grantee } of grants)
    store.exec(
      `REVOKE ${WRITING.replaceAll("'", '')} ON ${identifier(store.ledgerSchema)}.${name} FROM ${roleSql(grantee)}`,
    );
}
