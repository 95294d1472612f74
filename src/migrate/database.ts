import { resolve } from 'node:path';
import { isPostgresUrl, type StoreAddress, urlAddress, withServerHints } from '../address.js';
import type { StoreConnector, Transaction } from '../db/connection.js';
import { isPostgresError } from '../engine-errors.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { learnSecrets } from '../secrets.js';
import { addressFrom, isSource, notAFile, storeOf } from './application.js';
import type { Call, PostgresConfig } from './postgres-config.js';
import type { Session } from './session.js';

/** The properties of a better-sqlite3 connection that are read. No statement runs on it: steps open separate ones. */
export interface SqliteConnection {
  /** Path that it was opened with. */
  readonly name: string;
  /** Whether its database is in memory or temporary. */
  readonly memory: boolean;
  /** Whether it is in a transaction. */
  readonly inTransaction: boolean;
}

/**
 * An object of an application: a `Pool` or `Client` of pg, a Sequelize (6, or 7 alpha), or a knex. Only its settings are read: no statement runs on its
 * connections.
 */
export type ApplicationDatabase =
  | { readonly options: object; readonly totalCount: number }
  | { readonly host: string; readonly port: number; escapeLiteral(text: string): string }
  | { define(...model: never[]): unknown }
  | { readonly client: { readonly config: object } };

/** A database of PostgreSQL: its URL, settings as pg takes them, or an object that has them. */
export type PostgresDatabase = string | PostgresConfig | ApplicationDatabase;

/** Returns a database of PostgreSQL for one connection: called for each, because a password may be a token that expires. */
export type PostgresSource = () => PostgresDatabase | Promise<PostgresDatabase>;

/**
 * A store: the path of a file, or a better-sqlite3 connection to it, of which only the path is used; or a database of PostgreSQL. Steps open
 * separate connections, because batches need separate settings and transactions.
 */
export type StoreDatabase = SqliteConnection | PostgresDatabase | PostgresSource;

/**
 * Finds the store in what a program passed as `database`. Opens nothing.
 *
 * @throws {BackfillError} with the code of the call if it is none of these, or a setting cannot be carried over; `USAGE` for an unknown parameter of
 *   a URL; `STORE_NOT_A_FILE` if it is in memory or temporary, because no second connection could open it; `STORE_BUSY` for a transaction of knex
 */
export function addressOf(database: unknown, call: Call): StoreAddress {
  if (typeof database === 'string' && database.trim() !== '') {
    learnSecrets([database]);
    return isPostgresUrl(database) ? urlAddress(database) : { path: database };
  }
  const found = isConnection(database) ? { file: fileOf(database, call) } : storeOf(database, call);
  if (found) {
    if ('file' in found) return { path: found.file };
    return { path: found.postgres.url, postgres: found.postgres };
  }
  if (isSource(database)) {
    const postgres = addressFrom(database, call);
    return { path: postgres.url, postgres };
  }
  throw new BackfillError(
    call.code,
    msg('Expected `database` in {what} to be a file, or a database of PostgreSQL', { what: call.what }),
    msg(
      'Pass a path, the result of new Database(PATH), a URL, settings as pg takes them, a Pool or Client of pg, a Sequelize or a knex for one of the two, or a function that returns such a database of PostgreSQL',
    ),
  );
}

const isConnection = (database: unknown): database is SqliteConnection =>
  typeof database === 'object' &&
  database !== null &&
  'name' in database &&
  typeof database.name === 'string' &&
  'memory' in database &&
  typeof database.memory === 'boolean';

function fileOf({ name, memory }: SqliteConnection, call: Call): string {
  if (!memory) return resolve(name);
  throw notAFile(call);
}

/**
 * Refuses a connection in a transaction: every batch would wait for it, in the same thread, until the timeout.
 *
 * @throws {BackfillError} `STORE_BUSY`
 */
export function refuseOpenTransaction(database: unknown, what: string): void {
  if (!isConnection(database) || !database.inTransaction) return;
  throw new BackfillError(
    'STORE_BUSY',
    msg(
      'The connection passed to {what} is in the middle of a transaction, which would keep others from writing',
      { what },
    ),
    msg('Commit it first, and run umzug outside of transactions: each batch has a separate one'),
  );
}

/** The address of a ledger. */
export interface LedgerAddress extends StoreAddress {
  /** Whether other roles of a server may do whatever this user may. Default false. */
  readonly confirmed?: boolean | undefined;
}

/**
 * Opens a store that another Umzug uses, runs `act` in one transaction, and closes the store. A file may be empty, because a connection
 * creates it that way: the first migration creates its tables.
 *
 * @param access `read` writes nothing, except that it rolls back the transaction of a killed writer
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD` or a `STORE_…` code
 */
export async function inLedger<Result>(
  { path, postgres, confirmed }: LedgerAddress,
  access: 'read' | 'write',
  act: (session: Session) => Promise<Result>,
): Promise<Result> {
  // Not with this module, because every step file imports this package.
  const { connectorFor, inTransaction, withStore } = await import('./session.js');
  const connector = postgres ? await connectorFor({ path, postgres }) : await emptyFileConnector(path);
  const open = async (openFor: 'read' | 'write'): Promise<Result> =>
    await withStore({ path, connector, confirmed, project: { steps: [] } }, openFor, async (session) => {
      const actIn = async (tx: Transaction): Promise<Result> => await act(inTransaction(session, tx));
      return access === 'read' ? await session.store.snapshot(actIn) : await session.store.write(actIn);
    });
  try {
    return await withServerHints({ postgres }, async () => await open(access));
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error;
    // Another process has dropped the ledger since this one found it.
    if (isPostgresError(error.cause) && error.cause.code === 'POSTGRES_42P01') return await open(access);
    if (error.code !== 'STORE_HOT_JOURNAL') throw error;
    return await open('write');
  }
}

async function emptyFileConnector(path: string): Promise<StoreConnector> {
  const { locateStore } = await import('../db/path.js');
  const { sqliteConnector } = await import('../engine/sqlite/dialect.js');
  return sqliteConnector(path, { files: locateStore(path, { allowEmpty: true }) });
}
