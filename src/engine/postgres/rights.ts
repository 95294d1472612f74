import type { Store } from '../../db/connection.js';
import { type PostgresStatements, requirePostgres } from '../../db/postgres/statements.js';
import { needsTryJson } from '../../db/postgres/texts.js';
import { identifier, literal } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { type Message, msg } from '../../messages/message.js';
import type { Dialect } from '../dialect.js';

/**
 * Refuses a server on which this role's transactions are read-only.
 *
 * @throws {BackfillError} `STORE_READONLY`
 */
export async function refuseReadOnly(store: Store): Promise<void> {
  const found = await store.get<{ isReplica: number; isReadOnly: number }>(
    `SELECT pg_is_in_recovery() AS "isReplica", current_setting('default_transaction_read_only')::boolean AS "isReadOnly"`,
  );
  const readOnly = (message: Message, hint: Message) => new BackfillError('STORE_READONLY', message, hint);
  if (found?.isReplica === 1)
    throw readOnly(
      msg('The server is a replica, which is read-only'),
      msg('Pass the primary in --database-url'),
    );
  if (found?.isReadOnly === 1)
    throw readOnly(
      msg('The server is read-only: default_transaction_read_only is on'),
      msg(
        'Check why first, as some servers set it when their disk is full; then reset it for the server, the database or the role, and run the same command again',
      ),
    );
}

/** Returns the error for a role without the right to create the temporary functions that read texts before PostgreSQL 16. */
export const temporaryMissing = (): BackfillError =>
  new BackfillError(
    'STATEMENT_REJECTED',
    msg('This user may not create temporary functions, which PostgreSQL before 16 needs to recognize JSON'),
    msg('Grant it: GRANT TEMPORARY ON DATABASE … TO …; a replica allows none'),
  );

/**
 * Refuses a step that this role could not complete.
 *
 * @throws {BackfillError} `STORE_READONLY`, `STATEMENT_REJECTED`
 */
export const checkRights: Dialect['checkStep'] = async (store, { kind }) => {
  await refuseReadOnly(store);
  const { version, canMakeFunctions } = requirePostgres(store).session;
  if (kind === 'backfill' && needsTryJson(version) && !canMakeFunctions) throw temporaryMissing();
};

/**
 * Roles that a session trusts. PostgreSQL searches functions, operators and tables in the schemas of the search path. A role that
 * may create them there, or owns what is read, has its code run by this user. The session user counts: code that runs under another
 * role can undo that with RESET ROLE.
 *
 * @see https://wiki.postgresql.org/wiki/A_Guide_to_CVE-2018-1058:_Protect_Your_Search_Path
 */

/**
 * Refuses a search path in which other roles may create objects than this user, the owners of the database and of the schema, and
 * superusers. A schema with this user's name may be in the path as `$user`: its owner is trusted only if this user is a member of
 * that role. A superuser trusts no owner.
 *
 * @throws {BackfillError} `SEARCH_PATH_UNSAFE`, `SUPERUSER_REFUSED`
 */
export async function refuseUnsafePath(store: PostgresStatements): Promise<void> {
  const found = await store.get<
    Record<'schema' | 'role' | 'grantee' | 'owner' | 'me', string> &
      Record<'isOwner' | 'isSuper' | 'isByAll', number>
  >(
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
  const { schema, role, grantee, me, owner } = found;
  if (found.isOwner === 1 && found.isSuper === 1)
    throw new BackfillError(
      'SUPERUSER_REFUSED',
      msg(
        'The schema {schema} of the search path belongs to {owner}, whose objects in it could run code as this user, a superuser',
        { schema, owner: role },
      ),
      connectAs(role),
    );
  const statements = [`REVOKE CREATE ON SCHEMA ${identifier(schema)} FROM ${roleSql(grantee)}`];
  if (found.isByAll === 1)
    statements.push(`GRANT CREATE ON SCHEMA ${identifier(schema)} TO ${identifier(me)}`);
  throw new BackfillError(
    'SEARCH_PATH_UNSAFE',
    msg(
      'The role {role} may create objects in the schema {schema} of the search path, which could run code as this user',
      { role, schema },
    ),
    found.isOwner === 1
      ? msg(
          'Remove the schema from the search path: ALTER ROLE … SET search_path = …; or run it again with --yes if {role} may do whatever this user may',
          { role },
        )
      : takeAway(statements, role, owner),
  );
}

// SQL for roles.

/** FROM clause with this user as `me` and the database as `d`; {@link IS_ME} is its condition. */
export const ME_AND_DATABASE = `pg_roles AS me JOIN pg_database AS d ON d.datname = current_database()`;
/** See {@link ME_AND_DATABASE}. */
export const IS_ME = 'me.rolname = session_user';

/** SQL that is true for a role that is a superuser or may become one, also through what it may have the server write or run. */
export const isSuper = (role: string): string =>
  `EXISTS (SELECT 1 FROM pg_roles AS s WHERE (s.rolsuper OR s.rolname IN ('pg_execute_server_program', 'pg_write_server_files'))
    AND pg_has_role(${role}, s.oid, 'MEMBER'))`;

/** SQL for the roles `r` that can log in, are not superusers, and benefit from a grant to `grantee`: a role, or 0 for all. */
export const mayUse = (grantee: string): string =>
  `r.rolcanlogin AND NOT ${isSuper('r.oid')} AND has_database_privilege(r.oid, d.oid, 'CONNECT')
    AND (${grantee} = 0 OR pg_has_role(r.oid, ${grantee}, 'MEMBER'))`;

/**
 * SQL that is true for a role `r` that may do what this user does, or is the owner of the database, whom a superuser does not
 * trust.
 */
export const IS_OURS = `(pg_has_role(r.oid, me.oid, 'MEMBER') OR NOT ${isSuper('me.oid')} AND pg_has_role(r.oid, d.datdba, 'MEMBER'))`;

/** Returns a hint that revokes a right from a role, as the user who may. */
export const takeAway = (statements: readonly string[], role: string, owner?: string): Message =>
  owner === undefined
    ? msg(
        'Revoke that right: {statements}; or run it again with --yes if {role} may do whatever this user may',
        { statements: statements.join('; '), role },
      )
    : msg(
        'Revoke that right, as {owner}: {statements}; or run it again with --yes if {role} may do whatever this user may',
        { owner, statements: statements.join('; '), role },
      );

/** Returns a role as SQL. */
export const roleSql = (name: string): string => (name === 'PUBLIC' ? name : identifier(name));

/** Returns a hint to connect as the owner of something that could act as this user. */
export const connectAs = (owner: string): Message =>
  msg(
    'Connect as {owner}, because a trigger can undo SET ROLE; or run it again with --yes if {owner} may do whatever a superuser may',
    { owner },
  );
