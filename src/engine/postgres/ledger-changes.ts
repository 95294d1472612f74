import type { Store } from '../../db/connection.js';
import { PostgresError } from '../../db/postgres/connect.js';
import type { PostgresStatements } from '../../db/postgres/statements.js';
import { isPostgresError } from '../../engine-errors.js';
import { LEDGER_TABLES } from '../../ledger/tables.js';
import { listSql } from './catalog.js';

/**
 * Refuses, as a conflict, to drop steps that another session has committed since this transaction's snapshot: `ledgerStorage()` takes no run lock. A
 * new constraint is checked on all rows that exist now.
 */
export async function requireNoSteps(store: Store): Promise<void> {
  try {
    await store.project.exec(`ALTER TABLE ${LEDGER_TABLES.steps} ADD CHECK (false)`);
  } catch (error) {
    if (!isPostgresError(error) || error.code !== 'POSTGRES_23514') throw error;
    throw new PostgresError(error.message, 'POSTGRES_40001');
  }
}

/** Rights to change a table, or to act on changes. */
export const WRITING = `'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'`;

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
