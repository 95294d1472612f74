import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfStopped } from '../../backfill/stop.js';
import { BackfillError, isPostgresError, isStoreError } from '../../errors.js';
import { failpoint } from '../../failpoint.js';
import type { LockHolder } from '../../ledger/run-lock.js';
import { busyPauses, GIVE_UP_MS } from '../busy.js';
import { isAboutRow } from '../expressions.js';
import type { Dialect, SqlValue, Statements, Store, StoreSize } from '../port.js';
import type { OpenOptions } from '../site.js';
import { literal, normaliseSql } from '../sql.js';
import { shownAddress } from './address.js';
import { type Result, SAFE_PATH } from './client.js';
import { type Connection, makeFunctions, readPath, type Sessions } from './connection.js';
import { PostgresError } from './error.js';
import { requireHeld, shareLock } from './lock.js';
import { readSettings, restoreSettings } from './settings.js';
import { PostgresStatements, type Runner } from './statements.js';
import { asked, namesLedger, OUR_TABLES } from './texts.js';

/** How long a statement of a transaction that writes waits for another's lock, in milliseconds, before it is tried again. */
const WRITE_WAIT_MS = 1000;

/** How long a look waits for another's lock, by default, in milliseconds. */
const LOOK_WAIT_MS = 5000;

/** At most this many texts of ours are remembered as the server is asked them, none longer than so many characters. */
const [MAX_ASKED, LONGEST_ASKED] = [500, 5000];

/** One open database of PostgreSQL. Its lifetime is a command's. */
export class PostgresStore extends PostgresStatements implements Store {
  readonly dialect: Dialect;
  readonly files = undefined;
  readonly project: Statements;
  /** Whether a person has agreed to what the roles of others may do. */
  readonly trustsOthers: boolean;
  /** The project's tables. */
  readonly tables: readonly string[];
  readonly #sessions: Sessions;
  readonly #connection: Connection;
  readonly #waitMs: number;
  #transaction: 'none' | 'reading' | 'writing' = 'none';

  /**
   * @param connection the session of the command, which {@link close} gives back
   * @param dialect this engine's
   */
  constructor(
    sessions: Sessions,
    connection: Connection,
    dialect: Dialect,
    { access, busyWaitMs, isConfirmed = false, tables = [] }: OpenOptions,
  ) {
    const runner = (path: () => string | undefined): Runner => ({
      query: async (sql, parameters) => await this.#query(sql, parameters, path()),
      script: async (sql) => await this.#script(sql, path()),
      isWithin: () => this.#transaction !== 'none',
      changed: () => this.#known.clear(),
    });
    super(runner(() => undefined));
    this.project = new PostgresStatements(runner(() => this.#connection.path));
    this.dialect = dialect;
    this.trustsOthers = isConfirmed;
    this.tables = tables;
    this.#sessions = sessions;
    this.#connection = connection;
    this.#waitMs = busyWaitMs ?? (access === 'look' ? LOOK_WAIT_MS : GIVE_UP_MS);
  }

  /** Sets how long a statement outside a transaction that writes waits for another's lock. */
  async setLockTimeout(): Promise<void> {
    await this.exec(`SET lock_timeout = ${this.#waitMs}`);
  }

  /** The session with the database, for the parts of this engine. */
  get connection(): Connection {
    return this.#connection;
  }

  get name(): string {
    return shownAddress(this.#connection.client.address);
  }

  async size(): Promise<StoreSize> {
    const row = await this.get<{ bytes: number }>('SELECT pg_database_size(current_database()) AS bytes');
    return { bytes: row?.bytes ?? 0, freeBytes: 0, pageBytes: 0 };
  }

  /** The schema of the ledger: where the search path finds one, of whatever kind, else where it makes a table. */
  async ledgerSchema(): Promise<string> {
    return await this.remember('schema of the ledger', async () => {
      const schemas = this.#connection.schemas.filter((name) => name !== 'pg_catalog');
      const [found] = await this.pluck<string>(
        `SELECT p.name FROM unnest(ARRAY[${schemas.map(literal).join(', ')}]::text[]) WITH ORDINALITY AS p (name, at)
          JOIN pg_namespace AS n ON n.nspname = p.name JOIN pg_class AS c ON c.relnamespace = n.oid
        WHERE c.relname = ${literal(OUR_TABLES[0] ?? '')} ORDER BY p.at LIMIT 1`,
      );
      return found ?? schemas[0] ?? 'public';
    });
  }

  async #asked(sql: string, hasParameters: boolean): Promise<string> {
    if (this.#isStep || (!hasParameters && !sql.includes('umzug_backfill_'))) return sql;
    const name = `${hasParameters} ${sql}`;
    let text = this.#askedTexts.get(name);
    if (text === undefined) {
      text = asked(sql, namesLedger(sql) ? await this.ledgerSchema() : '', hasParameters);
      if (this.#askedTexts.size >= MAX_ASKED) this.#askedTexts.clear();
      if (sql.length <= LONGEST_ASKED) this.#askedTexts.set(name, text);
    }
    return text;
  }
  readonly #askedTexts = new Map<string, string>();

  async #query(sql: string, parameters: readonly SqlValue[], path: string | undefined): Promise<Result> {
    try {
      return await this.#connection.client.query(
        await this.#asked(sql, parameters.length > 0),
        parameters,
        this.#isStep ? undefined : path,
      );
    } catch (error) {
      // Nothing was written in a snapshot: another one lets a look go on that has to tell what went wrong.
      if (
        this.#transaction === 'reading' &&
        isPostgresError(error) &&
        !(this.#isAttempt && isAboutRow(error))
      ) {
        this.#hasNotCompiled ||= isUncompiled(error);
        await this.#restartSnapshot();
      }
      throw error;
    }
  }

  async #script(sql: string, path: string | undefined): Promise<void> {
    await this.#connection.client.script(await this.#asked(sql, false), this.#isStep ? undefined : path);
  }

  async #restartSnapshot(): Promise<void> {
    await this.#connection.client.script(`ROLLBACK; ${BEGIN_READING}`);
  }

  /** What is known of the schema, until this connection changes it: batches ask again and again. */
  async remember<Known>(what: string, ask: () => Promise<Known>): Promise<Known> {
    if (!this.#known.has(what)) this.#known.set(what, await ask());
    return this.#known.get(what) as Known;
  }
  readonly #known = new Map<string, unknown>();

  async runStep(act: () => Promise<void>): Promise<void> {
    const { client, canMakeFunctions, version } = this.#connection;
    const settings = await readSettings(client);
    this.#isStep = true;
    try {
      await client.script(`SET search_path = ${this.#connection.declaredPath}`);
      await act();
    } finally {
      this.#isStep = false; // a failure ends the transaction, and with it what was set
    }
    await restoreSettings(client, settings);
    await client.script(`SET lock_timeout = ${this.#waitMs}; SET LOCAL lock_timeout = ${WRITE_WAIT_MS}`);
    await readPath(this.#connection); // it may have made a schema
    if (canMakeFunctions) await makeFunctions(client, version, this.#connection.path); // DISCARD TEMP has dropped them
    await requireHeld(this.#connection);
    this.#known.clear();
  }
  #isStep = false;

  async isReading(sql: string): Promise<boolean> {
    return (
      /^(?:select|with|values|table)\b/.test(normaliseSql(sql)) &&
      (await this.compileError(sql)) === undefined
    );
  }

  async attempt(act: () => Promise<void>): Promise<boolean> {
    const isWithin = this.#transaction !== 'none';
    const { client } = this.#connection;
    if (isWithin) await client.script('SAVEPOINT umzug_backfill_attempt');
    this.#isAttempt = isWithin;
    try {
      await act();
      if (isWithin) await client.script('RELEASE SAVEPOINT umzug_backfill_attempt');
      return true;
    } catch (error) {
      if (!isAboutRow(error)) throw error;
      if (isWithin)
        await client.script(
          'ROLLBACK TO SAVEPOINT umzug_backfill_attempt; RELEASE SAVEPOINT umzug_backfill_attempt',
        );
      return false;
    } finally {
      this.#isAttempt = false;
    }
  }
  #isAttempt = false;

  async compileError(sql: string): Promise<Error | undefined> {
    const { client } = this.#connection;
    const isWithin = this.#transaction !== 'none';
    if (isWithin) await client.script('SAVEPOINT umzug_backfill_check');
    try {
      // One statement by itself: the protocol takes no second one.
      await client.query(`PREPARE umzug_backfill_check AS ${sql}`, [], this.#connection.path);
      const parameters = /\$\d/.test(sql) ? (await client.query(PARAMETERS)).rows[0]?.[0] : 0n;
      await client.script('DEALLOCATE umzug_backfill_check');
      return parameters === 0n ? undefined : new RangeError('The statement has a parameter');
    } catch (error) {
      // A lock that was waited for in vain, or a server that is gone or short of memory or stack, tells nothing of the statement.
      if (!isPostgresError(error) || this.dialect.isBusy(error) || isGone(error)) throw error;
      if (/^POSTGRES_(?:5[378]|54001|XX)/.test(error.code)) throw error;
      this.#hasNotCompiled = true;
      return error;
    } finally {
      // Compiling an UPDATE takes a lock of its table, which goes with it.
      if (isWithin)
        await client.script(
          'ROLLBACK TO SAVEPOINT umzug_backfill_check; RELEASE SAVEPOINT umzug_backfill_check',
        );
    }
  }

  async write<Result>(act: () => Promise<Result>): Promise<Result> {
    for (const pauseMs of busyPauses()) {
      try {
        return await this.tryWrite(act);
      } catch (error) {
        if (!this.dialect.isBusy(error)) throw error;
        await sleep(pauseMs);
      }
    }
    return await this.tryWrite(act);
  }

  async tryWrite<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = await this.#within(
      'writing',
      `${BEGIN_WRITING}; SET LOCAL lock_timeout = ${WRITE_WAIT_MS}`,
      act,
    );
    failpoint('commit', BEGIN_WRITING);
    return result;
  }

  async snapshot<Result>(act: () => Promise<Result>): Promise<Result> {
    if (this.#transaction !== 'none') return await act();
    this.#hasNotCompiled = false;
    try {
      return await this.#within('reading', BEGIN_READING, act);
    } catch (error) {
      // A statement is compiled by the catalog of its moment, not by the snapshot's: DDL that another has committed in between is seen
      // by half. A second look sees the whole of it.
      if (!this.#hasNotCompiled || isGone(error)) throw error;
      return await this.#within('reading', BEGIN_READING, act);
    }
  }
  #hasNotCompiled = false;

  async snapshotAcross<Result>(act: () => Promise<Result>): Promise<Result> {
    await this.#begin('reading', BEGIN_READING);
    try {
      const result = await act();
      await this.#end('ROLLBACK'); // nothing was written
      return result;
    } catch (error) {
      await this.#rollBack();
      throw error;
    }
  }

  async #begin(kind: 'reading' | 'writing', sql: string): Promise<void> {
    throwIfStopped(this.#sessions.signal, 'between two transactions');
    await this.#connection.client.script(sql);
    this.#transaction = kind;
  }

  async #end(sql: 'COMMIT' | 'ROLLBACK'): Promise<void> {
    const isWriting = this.#transaction === 'writing';
    this.#transaction = 'none';
    // Constraint triggers that are deferred fire now, and see the project's path.
    const commit = `SET LOCAL search_path = ${this.#connection.path}; COMMIT; SET search_path = ${SAFE_PATH}`;
    await this.#connection.client.script(sql === 'COMMIT' && isWriting ? commit : sql);
  }

  async #within<Result>(
    kind: 'reading' | 'writing',
    begin: string,
    act: () => Promise<Result>,
  ): Promise<Result> {
    await this.#begin(kind, begin);
    try {
      const result = await act();
      await this.#end('COMMIT');
      return result;
    } catch (error) {
      await this.#rollBack();
      throw error;
    }
  }

  /** Rolls back after a failure, which stays the one that is told: a session that can't is ended, and its transaction with it. */
  async #rollBack(): Promise<void> {
    const { client } = this.#connection;
    try {
      if (!client.isLost) await this.#end('ROLLBACK');
    } catch (error) {
      if (!isStoreError(error) && !(error instanceof BackfillError)) throw error;
      await client.close();
    } finally {
      this.#transaction = 'none';
    }
  }

  async share<Result>(
    act: () => Promise<Result>,
    onWait: (holder: LockHolder | undefined) => void,
  ): Promise<Result> {
    return await shareLock(this.#connection, act, onWait);
  }

  async close(): Promise<void> {
    await this.#sessions.leave(this.#connection);
  }
}

/**
 * Every transaction has one snapshot from its first statement on: a row that somebody changes between the statements of a batch
 * ends it by an error, and it is tried again. One that writes does not say so: a server that is set to be read only, as when its
 * disk is full, refuses it.
 *
 * @see https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ
 */
const BEGIN_WRITING = 'BEGIN ISOLATION LEVEL REPEATABLE READ';
const BEGIN_READING = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** Whether a statement speaks of what is not there, or not as it says. */
const isUncompiled = ({ code }: { readonly code: string }): boolean => code.startsWith('POSTGRES_42');

/** How many parameters a statement has that is looked at. */
const PARAMETERS = `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'umzug_backfill_check'`;

/** Whether the connection is lost, and with it the transaction. */
const isGone = (error: unknown): boolean => error instanceof PostgresError && error.isLoss;

/** A store of this engine's: its dialect is never given another. */
export function requirePostgres(store: Store): PostgresStore {
  if (store instanceof PostgresStore) return store;
  throw new BackfillError('INTERNAL', 'A store of another engine was given to PostgreSQL', 'Report it');
}
