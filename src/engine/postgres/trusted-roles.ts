import { identifier } from '../../db/sql.js';

// Roles, as the SQL of what is trusted has them.

/** This user, with the database's owner, as `me` and `d`. */
export const ME_AND_DATABASE = `pg_roles AS me JOIN pg_database AS d ON d.datname = current_database()`;
export const IS_ME = 'me.rolname = session_user';

/** SQL that is true for a role that is a superuser or may become one, also by what it may have the server write or run. */
export const isSuper = (role: string): string =>
  `EXISTS (SELECT 1 FROM pg_roles AS s WHERE (s.rolsuper OR s.rolname IN ('pg_execute_server_program', 'pg_write_server_files'))
    AND pg_has_role(${role}, s.oid, 'MEMBER'))`;

/** SQL for the roles that log in, are no superusers, and have what a grant gives: `r`, where `grantee` is a role, or 0 for all. */
export const mayUse = (grantee: string): string =>
  `r.rolcanlogin AND NOT ${isSuper('r.oid')} AND has_database_privilege(r.oid, d.oid, 'CONNECT')
    AND (${grantee} = 0 OR pg_has_role(r.oid, ${grantee}, 'MEMBER'))`;

/** SQL that is true for a role `r` that may do what this user does, or is the owner of the database, whom a superuser does not trust. */
export const IS_OURS = `(pg_has_role(r.oid, me.oid, 'MEMBER') OR NOT ${isSuper('me.oid')} AND pg_has_role(r.oid, d.datdba, 'MEMBER'))`;

export const takeAway = (statements: readonly string[], role: string, owner?: string): string =>
  owner === undefined
    ? `Take that right away: ${statements.join('; ')}; if ${role} may do whatever this user may, run it again with --yes`
    : `Take that right away, as ${owner}: ${statements.join('; ')}; if ${role} may do whatever this user may, run it again with --yes`;

/** A role as SQL has it. */
export const roleSql = (name: string): string => (name === 'PUBLIC' ? name : identifier(name));

export const connectAs = (owner: string): string =>
  `Connect as ${owner}, since a trigger can undo SET ROLE; if ${owner} may do whatever a superuser may, run it again with --yes`;
