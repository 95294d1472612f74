import type { Store } from '../../db/connection.js';
import { requirePostgres } from '../../db/postgres/statements.js';
import { needsTryJson } from '../../db/postgres/texts.js';
import { BackfillError } from '../../errors.js';
import type { Step } from '../../steps/step.js';

/**
 * Refuses a server on which this role's transactions only read.
 *
 * @throws {BackfillError} `STORE_READONLY`
 */
export async function refuseReadOnly(store: Store): Promise<void> {
  const found = await store.get<{ isReplica: number; isReadOnly: number }>(
    `SELECT pg_is_in_recovery() AS "isReplica", current_setting('default_transaction_read_only')::boolean AS "isReadOnly"`,
  );
  if (found?.isReplica === 1)
    throw new BackfillError(
      'STORE_READONLY',
      'The server is a replica, which can only be read',
      'Name the primary in --database-url',
    );
  if (found?.isReadOnly === 1)
    throw new BackfillError(
      'STORE_READONLY',
      'The server is set to take no writes: default_transaction_read_only is on',
      'Find out why first: some servers set it when their disk is full. Then reset it for the server, the database or the role, and run the same command again',
    );
}

/** The error for a role that may not make what a server before 16 needs to read texts. */
export const temporaryMissing = (): BackfillError =>
  new BackfillError(
    'STORE_REFUSED',
    'This user may not make a temporary function, without which PostgreSQL before 16 can not tell which texts are JSON',
    'Let it: GRANT TEMPORARY ON DATABASE … TO …; a replica has none',
  );

/**
 * Refuses a step that could not be run to its end, before anything is changed for it.
 *
 * @throws {BackfillError} `STORE_READONLY`, `STORE_REFUSED`
 */
export async function checkRights(store: Store, { kind }: Step): Promise<void> {
  await refuseReadOnly(store);
  const { version, canMakeFunctions } = requirePostgres(store).session;
  if (kind === 'backfill' && needsTryJson(version) && !canMakeFunctions) throw temporaryMissing();
}
