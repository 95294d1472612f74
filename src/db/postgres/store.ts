import { throwIfAborted } from '../../abort.js';
import type { Dialect } from '../../engine/dialect.js';
import { isAboutRow, isPostgresError } from '../../engine-errors.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import {
  ATTEMPT_TIMEOUT_MS,
  busyTimeout,
  type Connection,
  type LockHolder,
  type OpenOptions,
  type SqlValue,
  type Transaction,
  untilFree,
} from '../connection.js';
import { cached, literal } from '../sql.js';
import { type Result, SAFE_PATH } from './client.js';
import { isDisconnected } from './connect.js';
import { requireHeld, shareLock } from './lock.js';
import {
  makeFunctions,
  type PostgresSession,
  readPath,
  readSettings,
  restoreSettings,
  type Sessions,
} from './session.js';
import { PostgresStatements } from './statements.js';
import { asked, namesLedger, OUR_TABLES } from './texts.js';

type Kind = 'reading' | 'writing';

/**
 * Every transaction has one snapshot from its first statement on: if another client changes a row between the statements of a
 * batch, the batch fails and is retried. A write transaction does not specify READ WRITE, so that a server set to read-only, for
 * example because its disk is full, rejects it.
 *
 * @see https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ
 */
const BEGIN: Readonly<Record<Kind, string>> = {
  writing: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
  reading: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY',
};

/** Identity of a transaction on its connection. */
export interface Turn {
  readonly kind: Kind;
}

/** State that a connection shares with its transactions: the session, and caches. */
export class PostgresDriver {
  readonly session: PostgresSession;
  readonly dialect: Dialect;
  /** Whether other roles may create objects in the search path and own the tables, by `--yes`. */
  readonly trustsOthers: boolean;
  /** The project's tables. */
  readonly tables: readonly string[];
  /** Maximum time that a statement outside a write transaction waits for a lock, in milliseconds. */
  readonly lockTimeoutMs: number;
  /** The open transaction. */
  open: Turn | undefined;
  /** Whether the statements of a SQL step are running: unchanged, with the search path that they set. */
  isStep = false;
  /** Whether the transaction continues if a statement fails because of a row's contents. */
  isAttempt = false;
  /** Whether a statement of the snapshot did not compile. */
  hasNotCompiled = false;
  readonly #askedTexts = new Map<string, string>();
  readonly #known = new Map<string, unknown>();

  constructor(session: PostgresSession, dialect: Dialect, options: OpenOptions) {
    this.session = session;
    this.dialect = dialect;
    this.trustsOthers = options.confirmed ?? false;
    this.tables = options.tables ?? [];
    this.lockTimeoutMs = busyTimeout(options);
  }

  /** Caches facts about the schema, which batches need repeatedly, until this connection changes it. */
  async remember<Known>(what: string, ask: () => Promise<Known>): Promise<Known> {
    if (!this.#known.has(what)) this.#known.set(what, await ask());
    return this.#known.get(what) as Known;
  }

  /** Clears the cache of {@link remember}, or one entry. */
  forget(what?: string): void {
    if (what === undefined) this.#known.clear();
    else this.#known.delete(what);
  }

  /**
   * Returns the schema of the ledger: the first in the search path that contains one, else the one in which tables are created.
   */
  async ledgerSchema(): Promise<string> {
    return await this.remember('schema of the ledger', async () => {
      const schemas = this.session.schemas.filter((name) => name !== 'pg_catalog');
      const { rows } = await this.query(
        `SELECT p.name FROM unnest(ARRAY[${schemas.map(literal).join(', ')}]::text[]) WITH ORDINALITY AS p (name, at)
          JOIN pg_namespace AS n ON n.nspname = p.name JOIN pg_class AS c ON c.relnamespace = n.oid
        WHERE c.relname = ${literal(OUR_TABLES[0] ?? '')} ORDER BY p.at LIMIT 1`,
        [],
        undefined,
      );
      return String(rows[0]?.[0] ?? schemas[0] ?? 'public');
    });
  }

  async #asked(sql: string, hasParameters: boolean): Promise<string> {
    if (this.isStep || (!hasParameters && !sql.includes('umzug_backfill_'))) return sql;
    const name = `${hasParameters} ${sql}`;
    const known = this.#askedTexts.get(name);
    if (known !== undefined) return known;
    const schema = namesLedger(sql) ? await this.ledgerSchema() : '';
    return cached(this.#askedTexts, name, asked(sql, schema, hasParameters));
  }

  /** Runs one statement with a search path; undefined: only built-in names. */
  async query(sql: string, parameters: readonly SqlValue[], path: string | undefined): Promise<Result> {
    const text = await this.#asked(sql, parameters.length > 0);
    return await this.#checked(
      async () => await this.session.client.query(text, parameters, this.isStep ? undefined : path),
    );
  }

  /** Runs one of our statements in a transaction, in one round trip. */
  async queryAtOnce(sql: string, path: string | undefined): Promise<Result> {
    return await this.#checked(async () => await this.session.client.queryAtOnce(sql, path));
  }

  async #checked(run: () => Promise<Result>): Promise<Result> {
    // Checked here because a pass over a table is many short statements. A batch is allowed to continue to its commit.
    if (this.open?.kind === 'reading')
      throwIfAborted(this.session.client.signal, msg('while reading the database'));
    try {
      return await run();
    } catch (error) {
      // A snapshot has written nothing, so a new one lets the caller continue, for example to find the cause.
      const isTold = this.isAttempt && isAboutRow(error);
      if (this.open?.kind === 'reading' && isPostgresError(error) && !isTold) {
        this.hasNotCompiled ||= error.code.startsWith('POSTGRES_42'); // syntax error, missing object or missing privilege
        await this.session.client.script(`ROLLBACK; ${BEGIN.reading}`);
      }
      throw error;
    }
  }

  /** Runs statements without parameters, with a search path. */
  async script(sql: string, path: string | undefined): Promise<void> {
    await this.session.client.script(await this.#asked(sql, false), this.isStep ? undefined : path);
  }
}

class PostgresTransaction extends PostgresStatements implements Transaction {
  async snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await act(this);
  }

  async runStep(act: () => Promise<void>): Promise<void> {
    this.requireTurn();
    const { driver } = this;
    const { session, lockTimeoutMs } = driver;
    const { client, canMakeFunctions, version } = session;
    const settings = await readSettings(client);
    driver.isStep = true;
    try {
      await client.script(`SET search_path = ${session.declaredPath}; RESET jit`);
      await act();
    } finally {
      driver.isStep = false; // a failure ends the transaction, and with it the settings
    }
    await restoreSettings(client, settings);
    await client.script(
      `SET lock_timeout = ${lockTimeoutMs}; SET LOCAL lock_timeout = ${ATTEMPT_TIMEOUT_MS}`,
    );
    await readPath(session); // the step may have created a schema
    if (canMakeFunctions) await makeFunctions(client, version, session.path); // DISCARD TEMP has dropped them
    await requireHeld(session);
    driver.forget();
  }
}

/** The connection of one open PostgreSQL store. */
export class PostgresStore extends PostgresStatements implements Connection {
  readonly #sessions: Sessions;

  /** @param session the command's session, which {@link close} releases */
  constructor(sessions: Sessions, session: PostgresSession, dialect: Dialect, options: OpenOptions) {
    super(new PostgresDriver(session, dialect, options));
    this.#sessions = sessions;
  }

  /** Sets the maximum time that a statement outside a write transaction waits for a lock. */
  async setLockTimeout(): Promise<void> {
    await this.exec(`SET lock_timeout = ${this.driver.lockTimeoutMs}`);
  }

  async write<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const isBusy = (error: unknown): boolean => this.dialect.retryReason(error) !== undefined;
    return await untilFree(() => this.tryWrite(act), isBusy, this.session.client.signal);
  }

  async tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const result = await this.#within('writing', act);
    failpoint('commit', BEGIN.writing);
    return result;
  }

  async snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const { driver } = this;
    driver.hasNotCompiled = false;
    try {
      return await this.#within('reading', act);
    } catch (error) {
      // A statement is compiled with the current catalog, not with the snapshot's, so it sees concurrent DDL only in part. A
      // second snapshot sees all of it.
      if (!driver.hasNotCompiled || isDisconnected(error)) throw error;
      return await this.#within('reading', act);
    }
  }

  async snapshotAsync<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return await this.#within('reading', act);
  }

  async #within<Result>(kind: Kind, act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    this.requireTurn();
    const { driver, session } = this;
    const { client } = session;
    throwIfAborted(client.signal, msg('between two transactions'));
    const isWriting = kind === 'writing';
    await client.script(
      isWriting ? `${BEGIN.writing}; SET LOCAL lock_timeout = ${ATTEMPT_TIMEOUT_MS}` : BEGIN.reading,
    );
    const turn: Turn = { kind };
    driver.open = turn;
    try {
      const result = await act(new PostgresTransaction(driver, turn));
      // Deferred constraint triggers fire now, and must see the project's path.
      const commit = `SET LOCAL search_path = ${session.path}; COMMIT; SET search_path = ${SAFE_PATH}`;
      driver.open = undefined;
      await client.script(isWriting ? commit : 'COMMIT');
      return result;
    } catch (error) {
      if (!client.isLost) await client.orClose(() => client.script('ROLLBACK'));
      throw error;
    } finally {
      driver.open = undefined;
    }
  }

  async withSharedLock<Result>(
    act: () => Promise<Result>,
    onWait: (holder: LockHolder | undefined) => void,
  ): Promise<Result> {
    return await shareLock(this.session, act, onWait);
  }

  async close(): Promise<void> {
    await this.#sessions.leave(this.session);
  }
}
