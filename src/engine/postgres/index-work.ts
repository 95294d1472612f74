import type { Connection, Store, Transaction } from '../../db/connection.js';
import { untilFree } from '../../db/locks.js';
import { requirePostgres } from '../../db/postgres/statements.js';
import { identifier } from '../../db/sql.js';
import { BackfillError } from '../../errors.js';
import { isStoreError } from '../../store-errors.js';
import type { IndexWork } from '../dialect.js';
import { relationSql } from './relations.js';

// Concurrently, an index keeps no writer waiting, but it is no part of a transaction: whoever is killed leaves one behind that is
// invalid. So the ledger knows it as ours before it is there, and forgets it when it is gone.

/**
 * How long one try waits for other transactions, in milliseconds. It waits for all that are older than itself, and nobody waits for it:
 * a long wait costs less than another try, which reads the table again.
 */
const WAIT_MS = 15_000;

/** An index of the table by its name, as the catalog has it. */
interface StandingIndex {
  readonly schema: string;
  readonly isValid: number;
}

/**
 * Makes an index. Not inside a transaction.
 *
 * @param isDue asked in the transaction in which the index is noted: another process may have made it meanwhile
 * @param note notes it in the ledger; what is noted already, it leaves
 * @param done called in the transaction behind it
 * @param waitMs how long one try waits for other transactions. Default 15 seconds
 * @throws {BackfillError} `STORE_REFUSED` when PostgreSQL leaves it invalid, and what its statement throws
 */
export async function makeIndex(
  store: Connection,
  index: IndexWork,
  isDue: (tx: Transaction) => Promise<boolean>,
  note: (tx: Transaction) => Promise<void>,
  done: (tx: Transaction) => Promise<void>,
  waitMs = WAIT_MS,
): Promise<void> {
  const isConcurrent = !(await isPartitioned(store, index));
  const isNoted = await store.write(async (tx) => {
    const isToBeMade = await isDue(tx);
    if (isToBeMade) {
      await note(tx);
      if (!isConcurrent) await tx.project.exec(index.sql);
    }
    if (!isConcurrent) await done(tx);
    return isToBeMade;
  });
  if (!isConcurrent) return;
  if (isNoted) await patiently(store, waitMs, async () => await build(store, index));
  await store.write(done);
}

/**
 * Drops an index, and forgets it in the ledger. Not inside a transaction.
 *
 * @param waitMs how long one try waits for other transactions. Default 15 seconds
 */
export async function dropIndex(
  store: Connection,
  index: IndexWork,
  forget: (tx: Transaction) => Promise<void>,
  waitMs = WAIT_MS,
): Promise<void> {
  if (await isPartitioned(store, index)) {
    await store.write(async (tx) => {
      await drop(tx, index, 'DROP INDEX');
      await forget(tx);
    });
    return;
  }
  await patiently(store, waitMs, async () => await drop(store, index));
  await store.write(forget);
}

async function build(store: Store, index: IndexWork): Promise<void> {
  await dropInvalid(store, index);
  try {
    await store.project.exec(index.sql.replace(/^CREATE INDEX /, 'CREATE INDEX CONCURRENTLY '));
  } catch (error) {
    await cleanUp(store, index);
    throw error;
  }
  if ((await standing(store, index))?.isValid === 1) return;
  await cleanUp(store, index);
  throw new BackfillError(
    'STORE_REFUSED',
    `PostgreSQL did not complete the index ${index.name}`,
    'Run the same command again: it makes the index anew',
  );
}

/** Drops what was begun, since writers keep it up for nothing. If that can't be, the next run does it: the ledger knows the index. */
async function cleanUp(store: Store, index: IndexWork): Promise<void> {
  try {
    await dropInvalid(store, index);
  } catch (error) {
    if (!isStoreError(error)) throw error;
  }
}

async function dropInvalid(store: Store, index: IndexWork): Promise<void> {
  if ((await standing(store, index))?.isValid === 0) await drop(store, index);
}

/** In the schema of its table: the search path may find another index of the name. */
async function drop(store: Store, index: IndexWork, command = 'DROP INDEX CONCURRENTLY'): Promise<void> {
  const found = await standing(store, index);
  if (found)
    await store.project.exec(`${command} IF EXISTS ${identifier(found.schema)}.${identifier(index.name)}`);
}

async function standing(store: Store, { table, name }: IndexWork): Promise<StandingIndex | undefined> {
  return await store.get<StandingIndex>(
    `SELECT n.nspname AS schema, i.indisvalid AS "isValid"
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE i.indrelid = ${relationSql(store)} AND c.relname = ?`,
    table,
    name,
  );
}

/** The index of a table with partitions can't be made concurrently. */
async function isPartitioned(store: Store, { table }: IndexWork): Promise<boolean> {
  return (
    (await store.get(`SELECT 1 FROM pg_class WHERE oid = ${relationSql(store)} AND relkind = 'p'`, table)) !==
    undefined
  );
}

/** Acts, and again for a bounded time while other transactions keep a lock for longer than `waitMs`. */
async function patiently(store: Store, waitMs: number, act: () => Promise<void>): Promise<void> {
  const before =
    (await store.get<{ wait: string }>(`SELECT current_setting('lock_timeout') AS wait`))?.wait ?? '0';
  const setWait = async (wait: string): Promise<void> =>
    void (await store.get(`SELECT set_config('lock_timeout', ?, false)`, wait));
  await setWait(`${waitMs}ms`);
  try {
    const { signal } = requirePostgres(store).session.client;
    await untilFree(act, (error) => store.dialect.retryReason(error) !== undefined, signal);
  } finally {
    await setWait(before);
  }
}
