import { BackfillError, isStoreError } from '../../errors.js';
import { busyPauses, pause } from '../busy.js';
import type { IndexWork, Store } from '../port.js';
import { identifier } from '../sql.js';
import { relationSql } from './inspect.js';

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
export function makeIndex(
  store: Store,
  index: IndexWork,
  isDue: () => boolean,
  note: () => void,
  done: () => void,
  waitMs = WAIT_MS,
): void {
  const isConcurrent = !isPartitioned(store, index);
  const isNoted = store.write(() => {
    const isToBeMade = isDue();
    if (isToBeMade) {
      note();
      if (!isConcurrent) store.project.exec(index.sql);
    }
    if (!isConcurrent) done();
    return isToBeMade;
  });
  if (!isConcurrent) return;
  if (isNoted) patiently(store, waitMs, () => build(store, index));
  store.write(done);
}

/**
 * Drops an index, and forgets it in the ledger. Not inside a transaction.
 *
 * @param waitMs how long one try waits for other transactions. Default 15 seconds
 */
export function dropIndex(store: Store, index: IndexWork, forget: () => void, waitMs = WAIT_MS): void {
  if (isPartitioned(store, index)) {
    store.write(() => {
      drop(store, index, 'DROP INDEX');
      forget();
    });
    return;
  }
  patiently(store, waitMs, () => drop(store, index));
  store.write(forget);
}

function build(store: Store, index: IndexWork): void {
  dropInvalid(store, index);
  try {
    store.project.exec(index.sql.replace(/^CREATE INDEX /, 'CREATE INDEX CONCURRENTLY '));
  } catch (error) {
    cleanUp(store, index);
    throw error;
  }
  if (standing(store, index)?.isValid === 1) return;
  cleanUp(store, index);
  throw new BackfillError(
    'STORE_REFUSED',
    `PostgreSQL did not complete the index ${index.name}`,
    'Run the same command again: it makes the index anew',
  );
}

/** Drops what was begun, since writers keep it up for nothing. If that can't be, the next run does it: the ledger knows the index. */
function cleanUp(store: Store, index: IndexWork): void {
  try {
    dropInvalid(store, index);
  } catch (error) {
    if (!isStoreError(error)) throw error;
  }
}

function dropInvalid(store: Store, index: IndexWork): void {
  if (standing(store, index)?.isValid === 0) drop(store, index);
}

/** In the schema of its table: the search path may find another index of the name. */
function drop(store: Store, index: IndexWork, command = 'DROP INDEX CONCURRENTLY'): void {
  const found = standing(store, index);
  if (found) store.project.exec(`${command} IF EXISTS ${identifier(found.schema)}.${identifier(index.name)}`);
}

function standing(store: Store, { table, name }: IndexWork): StandingIndex | undefined {
  return store.get<StandingIndex>(
    `SELECT n.nspname AS schema, i.indisvalid AS "isValid"
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE i.indrelid = ${relationSql(store)} AND c.relname = ?`,
    table,
    name,
  );
}

/** The index of a table with partitions can't be made concurrently. */
function isPartitioned(store: Store, { table }: IndexWork): boolean {
  return (
    store.get(`SELECT 1 FROM pg_class WHERE oid = ${relationSql(store)} AND relkind = 'p'`, table) !==
    undefined
  );
}

/** Acts, and again for a bounded time while other transactions keep a lock for longer than `waitMs`. */
function patiently(store: Store, waitMs: number, act: () => void): void {
  const before = store.get<{ wait: string }>(`SELECT current_setting('lock_timeout') AS wait`)?.wait ?? '0';
  const setWait = (wait: string): void => void store.get(`SELECT set_config('lock_timeout', ?, false)`, wait);
  setWait(`${waitMs}ms`);
  try {
    for (const pauseMs of busyPauses()) {
      try {
        act();
        return;
      } catch (error) {
        if (!store.dialect.isBusy(error)) throw error;
        pause(pauseMs);
      }
    }
    act();
  } finally {
    setWait(before);
  }
}
