import type { PostgresStatements } from '../../db/postgres/statements.js';
import { OUR_TABLES, XIDS_TABLE } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { handOver, IN_LEDGER, namedSql, refuseUnusable, refuseWriters } from './ledger-rights.js';
import { relationSql, tree } from './relations.js';
import {
  connectAs,
  IS_ME,
  IS_OURS,
  isSuper,
  ME_AND_DATABASE,
  mayUse,
  roleSql,
  takeAway,
} from './trusted-roles.js';

export { ledgerTables, withdrawGrants } from './ledger-rights.js';

/**
 * Whom a session trusts that names things: PostgreSQL looks for a function, an operator or a table in the schemas of the search path, and
 * whoever may make one there, or owns what is read, has his code run by this user. It is this session's user that counts: code that
 * runs under another role takes that off with RESET ROLE.
 *
 * @see https://wiki.postgresql.org/wiki/A_Guide_to_CVE-2018-1058:_Protect_Your_Search_Path
 */

/**
 * Refuses a search path in which another may make objects than this user, the owners of the database and of the schema, and superusers. A
 * schema that has this user's name may be in the path as `$user`: its owner is trusted only where this user is a member of that. A
 * superuser trusts no owner.
 *
 * @throws {BackfillError} `SEARCH_PATH_UNSAFE`, `SUPERUSER_REFUSED`
 */
export async function refuseUnsafePath(store: PostgresStatements): Promise<void> {
  const found = await store.get<{
    schema: string;
    role: string;
    grantee: string;
    isOwner: number;
    isSuper: number;
    owner: string;
    me: string;
    isByAll: number;
  }>(
    `SELECT n.nspname AS schema, r.rolname AS role, coalesce(g.rolname, 'PUBLIC') AS grantee, a.grantee = n.nspowner AS "isOwner",
      ${isSuper('me.oid')} AS "isSuper", CASE WHEN w.rolname = 'pg_database_owner' THEN pg_get_userbyid(d.datdba) ELSE w.rolname END AS owner,
      session_user AS me, a.grantee = 0 AND NOT pg_has_role(me.oid, n.nspowner, 'MEMBER') AND NOT EXISTS (SELECT 1 FROM aclexplode(n.nspacl) AS y
        WHERE y.privilege_type = 'CREATE' AND y.grantee <> 0 AND pg_has_role(me.oid, y.grantee, 'MEMBER')) AS "isByAll"
    FROM pg_namespace AS n JOIN pg_roles AS w ON w.oid = n.nspowner CROSS JOIN ${ME_AND_DATABASE}
      CROSS JOIN LATERAL (SELECT x.grantee FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS x
        WHERE x.privilege_type = 'CREATE' UNION SELECT n.nspowner) AS a
      LEFT JOIN pg_roles AS g ON g.oid = a.grantee
      JOIN pg_roles AS r ON ${mayUse('a.grantee')}
    WHERE ${IS_ME} AND n.nspname IN (${store.session.schemas.map(literal).join(', ')}) AND NOT ${IS_OURS}
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
      : takeAway(
          [
            `REVOKE CREATE ON SCHEMA ${identifier(schema)} FROM ${roleSql(grantee)}`,
            ...(found.isByAll === 1
              ? [`GRANT CREATE ON SCHEMA ${identifier(schema)} TO ${identifier(found.me)}`]
              : []),
          ],
          role,
          found.owner,
        ),
  );
}

/**
 * Refuses a table that a superuser is about to read or write and that another owns: triggers, index expressions and types of the owner's
 * would run with every right there is. Those of partitions, heirs and parents count too. Does nothing where there is no such table, or a
 * person has agreed.
 *
 * @throws {BackfillError} `SUPERUSER_REFUSED`
 */
export async function refuseForeignTable(store: PostgresStatements, table: string): Promise<void> {
  if (store.driver.trustsOthers) return;
  const isSuperuser = `SELECT ${isSuper('me.oid')} AS "isSuper" FROM pg_roles AS me WHERE ${IS_ME}`;
  if ((await store.remember(isSuperuser, async () => (await store.pluck<number>(isSuperuser))[0])) !== 1)
    return;
  const found = await store.get<{ name: string; owner: string }>(
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

/** What the ledger's columns are of, and their only default beside none. */
const [OUR_TYPES, OUR_DEFAULT] = [
  `'text'::regtype, 'bigint'::regtype, 'double precision'::regtype, 'bytea'::regtype`,
  '0',
];

/** Whatever of the ledger's tables this program does not make, each by a condition on `c`, from `pg_class`. */
const ODDITIES: readonly (readonly [condition: string, what: string])[] = [
  [
    `c.relkind <> CASE WHEN c.relname IN (${OUR_TABLES.map(literal).join(', ')}) THEN 'r' ELSE 'S' END`,
    'is no plain table',
  ],
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
 * one of the project's tables, or a member of theirs; to a superuser, only to superusers, unless a person has agreed.
 *
 * @param right what this user is about to need on its tables
 * @throws {BackfillError} `LEDGER_UNTRUSTED`, `STORE_READONLY`
 */
export async function refuseUnsafeLedger(
  store: PostgresStatements,
  right: 'SELECT' | 'UPDATE' = 'SELECT',
): Promise<void> {
  const odd = ODDITIES.map(([condition, what]) => `WHEN ${condition} THEN ${literal(what)}`);
  const owners = store.driver.tables.map(
    (table) =>
      `pg_has_role(c.relowner, (SELECT t.relowner FROM pg_class AS t WHERE t.oid = ${namedSql(store, table)}), 'MEMBER')`,
  );
  const isOwners = [
    `NOT ${isSuper('me.oid')} AND pg_has_role(me.oid, c.relowner, 'MEMBER')`,
    `pg_has_role(c.relowner, me.oid, 'MEMBER')`,
    `pg_has_role(c.relowner, d.datdba, 'MEMBER')`,
    ...owners,
  ].join(' OR ');
  const isMine = `NOT ${isSuper('me.oid')}${store.driver.trustsOthers ? ' OR true' : ''}`;
  const found = await store.get<Untrusted>(
    `SELECT * FROM (
      SELECT c.relname AS name, o.rolname AS owner, c.relkind AS kind,
        ${isSuper('me.oid')} AND coalesce(${isOwners}, false) AS "isLifted",
        CASE WHEN (${isSuper('o.oid')} OR (${isMine}) AND (${isOwners})) IS NOT TRUE THEN '' ${odd.join(' ')} END AS what
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS o ON o.oid = c.relowner
        CROSS JOIN ${ME_AND_DATABASE}
      WHERE ${IS_ME} AND ${IN_LEDGER}) AS l
    WHERE what IS NOT NULL ORDER BY name LIMIT 1`,
    await store.ledgerSchema(),
  );
  if (found) throw await untrusted(store, found);
  if (!store.driver.trustsOthers) await refuseWriters(store);
  await refuseUnusable(store, right);
}

/** A relation of the ledger that is not as this program makes it. */
interface Untrusted {
  readonly name: string;
  readonly owner: string;
  readonly kind: string;
  /** Whether a person's word would make it trusted. */
  readonly isLifted: number;
  /** Empty for its owner. */
  readonly what: string;
}

/** Relations by their kind, as DROP has them; others are tables. */
const KINDS: Readonly<Record<string, string>> = {
  S: 'SEQUENCE',
  v: 'VIEW',
  m: 'MATERIALIZED VIEW',
  f: 'FOREIGN TABLE',
};

async function untrusted(
  store: PostgresStatements,
  { name, owner, kind, isLifted, what }: Untrusted,
): Promise<BackfillError> {
  const table = `${identifier(await store.ledgerSchema())}.${name}`;
  const drop = `DROP ${KINDS[kind] ?? 'TABLE'} ${table}`;
  if (what !== '')
    return new BackfillError(
      'LEDGER_UNTRUSTED',
      `The ledger's table ${table} is not as this program makes it: it ${what}`,
      `If it is the ledger of ${owner}, connect as that role and take off what was added to it; if it was planted, drop it: ${drop}`,
    );
  return new BackfillError(
    'LEDGER_UNTRUSTED',
    `The ledger's table ${table} is not as this program makes it: it belongs to ${owner}`,
    isLifted === 1
      ? connectAs(owner)
      : `If you know it as the ledger of ${owner}, hand it over, as that role: ${await handOver(store, owner)}; if it was planted, drop it: ${drop}`,
  );
}
