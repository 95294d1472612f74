import { throwIfAborted } from '../../abort.js';
import type { Dialect } from '../../engine/dialect.js';
import { failpoint } from '../../failpoint.js';
import { msg } from '../../messages/message.js';
import type { Connection, Transaction } from '../connection.js';
import { type LockHolder, type OpenOptions, untilFree } from '../connector.js';
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

/** How long a statement of a transaction that writes waits for another's lock, in milliseconds, before it is tried again. */
const WRITE_TIMEOUT_MS = 1000;

/** A transaction of a database of PostgreSQL. */
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
      driver.isStep = false; // a failure ends the transaction, and with it what was set
    }
    await restoreSettings(client, settings);
    await client.script(`SET lock_timeout = ${lockTimeoutMs}; SET LOCAL lock_timeout = ${WRITE_TIMEOUT_MS}`);
    await readPath(session); // it may have made a schema
    if (canMakeFunctions) await makeFunctions(client, version, session.path); // DISCARD TEMP has dropped them
    await requireHeld(session);
    driver.forget();
  }
}

/** The connection of one open database of PostgreSQL. Its lifetime is a command's. */
export class PostgresStore extends PostgresStatements implements Connection {
  readonly #sessions: Sessions;

  /**
   * @param session that of the command, which {@link close} gives back
   * @param dialect this engine's
   */
  constructor(sessions: Sessions, session: PostgresSession, dialect: Dialect, options: OpenOptions) {
    super(new PostgresDriver(session, dialect, options));
    this.#sessions = sessions;
  }

  /** Sets how long a statement outside a transaction that writes waits for another's lock. */
  async setLockTimeout(): Promise<void> {
    await this.exec(`SET lock_timeout = ${this.driver.lockTimeoutMs}`);
  }

  async write<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const isBusy = (error: unknown): boolean => this.dialect.retryReason(error) !== undefined;
    return await untilFree(() => this.tryWrite(act), isBusy, this.session.client.signal);
  }

  async tryWrite<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const result = await this.#within('writing', act, `; SET LOCAL lock_timeout = ${WRITE_TIMEOUT_MS}`);
    failpoint('commit', BEGIN.writing);
    return result;
  }

  async snapshot<Result>(act: (tx: Transaction) => Promise<Result>): Promise<Result> {
    const { driver } = this;
    driver.hasNotCompiled = false;
    try {
      return await this.#within('reading', act);
    } catch (error) {
      // A statement is compiled by the catalog of its moment, not by the snapshot's: DDL that another has committed in between is seen
      // by half. A second look sees the whole of it.
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
