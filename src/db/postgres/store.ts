import { throwIfAborted } from '../../abort.js';
import type { Dialect } from '../../engine/dialect.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import {
  ATTEMPT_TIMEOUT_MS,
  type Connection,
  type LockHolder,
  type OpenOptions,
  type Transaction,
  untilFree,
} from '../connection.js';
import { isDisconnected } from './connect.js';
import { BEGIN, PostgresDriver } from './driver.js';
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

/** A transaction of a PostgreSQL store. */
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
      await client.script(`SET search_path = ${session.declaredPath}`);
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

  /**
   * @param session the command's session, which {@link close} releases
   */
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
    const result = await this.#within('writing', act, `; SET LOCAL lock_timeout = ${ATTEMPT_TIMEOUT_MS}`);
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

  async #within<Result>(
    kind: 'reading' | 'writing',
    act: (tx: Transaction) => Promise<Result>,
    settings?: string,
  ): Promise<Result> {
    this.requireTurn();
    throwIfAborted(this.session.client.signal, msg('between two transactions'));
    const { driver } = this;
    return await driver.within(kind, (turn) => act(new PostgresTransaction(driver, turn)), settings);
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
