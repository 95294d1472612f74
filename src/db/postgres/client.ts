import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClientConfig, QueryArrayConfig, QueryArrayResult } from 'pg';
import { ABORT_POLL_MS, type AbortSignalLike, throwIfAborted } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { type Message, msg } from '../../messages/message.js';
import type { SqlValue } from '../connection.js';
import type { PostgresAddress } from './address.js';
import { type Attempts, attemptsOf } from './attempts.js';
import {
  cancelStatement,
  connected,
  internalsOf,
  isAboutTls,
  PostgresError,
  postgresError,
  types,
} from './connect.js';

/** Search path of our sessions: only superusers can create objects in it. Statements of the project use its own path. */
export const SAFE_PATH = 'pg_catalog, pg_temp';

/** Rows of a statement, integers as bigint. */
export interface Result {
  readonly rows: readonly (readonly unknown[])[];
  readonly fields: readonly string[];
  readonly count: number;
}

const resultOf = ({ rows, fields, rowCount }: QueryArrayResult<unknown[]>): Result => ({
  rows,
  fields: fields.map((field) => field.name),
  count: rowCount ?? 0,
});

/** Maximum time to wait for the server when closing a connection, in milliseconds. */
const END_MS = 1000;

/** Interval between empty statements in an idle transaction, in milliseconds. They keep the server from ending it. */
const BEAT_MS = 1000;

/**
 * Time from a signal to the cancellation of the current statement, and to the end of the connection, in milliseconds. A server
 * usually answers within 10. If it does not answer, the process ends 60 to 75 ms after the signal, polling included.
 */
const [CANCEL_AFTER_MS, GIVE_UP_AFTER_MS] = [10, 45];

/** Maximum time for the cleanup of a stopped run, in milliseconds. */
const CLEAR_UP_MS = 1000;

/**
 * A connection to PostgreSQL. When this process ends, in whatever way, the server ends the connection, its locks and its
 * transaction.
 *
 * An aborted signal cancels the current statement, which then rejects with `TERMINATED` or `INTERRUPTED`.
 */
export class PostgresClient {
  /** The address that it is connected to. */
  readonly address: PostgresAddress;
  /** Warnings about its encryption. */
  readonly warnings: readonly Message[];
  readonly #driver: Client;
  readonly #config: ClientConfig;
  /** Stops every wait for the database. */
  readonly signal: AbortSignalLike | undefined;
  readonly #timer: NodeJS.Timeout;
  #isInTransaction = false;
  #isClosed = false;
  #isLost = false;
  #isCancelled = false;
  /** Time at which the aborted signal was noticed. */
  #stoppedAt: number | undefined;
  /** Start time of the current statement. */
  #askedAt: number | undefined;
  #lastAskedAt = performance.now();
  /** The previous statement, which the next one waits for. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    { address, warnings }: Attempts,
    driver: Client,
    config: ClientConfig,
    signal: AbortSignalLike | undefined,
  ) {
    this.address = address;
    this.warnings = warnings;
    this.#driver = driver;
    this.#config = config;
    this.signal = signal;
    const { connection } = internalsOf(driver);
    const lose = (): void => {
      this.#isLost = true; // the next statement reports it
    };
    driver.on('error', lose).on('end', lose);
    connection.on('readyForQuery', ({ status }: { readonly status: string }) => {
      this.#isInTransaction = status !== 'I';
    });
    this.#timer = setInterval(() => this.#checkSignal(), ABORT_POLL_MS).unref();
  }

  /**
   * Connects.
   *
   * @throws {PostgresError}
   * @throws {BackfillError} `DRIVER_MISSING`, `USAGE` for invalid settings, `STORE_UNREACHABLE`, `TERMINATED`, `INTERRUPTED`
   */
  static async open(address: PostgresAddress, signal?: AbortSignalLike): Promise<PostgresClient> {
    const attempts = await attemptsOf(address, signal);
    let failure: unknown;
    for (const config of attempts.configs) {
      try {
        return new PostgresClient(attempts, await connected(config, signal), config, signal);
      } catch (error) {
        failure = error;
        if (!isAboutTls(error)) break;
      }
    }
    throw failure instanceof BackfillError ? failure : postgresError(failure);
  }

  /** Whether the connection is closed or known to be lost. */
  get isLost(): boolean {
    return this.#isLost || this.#isClosed;
  }

  /** Runs one statement with `path` as search path and parameters as `$1`, `$2`, …. */
  async query(sql: string, parameters: readonly SqlValue[] = [], path?: string): Promise<Result> {
    return await this.#inPath(path, async () => {
      // The extended protocol allows only one statement.
      const query = { text: sql, values: [...parameters], rowMode: 'array', types, queryMode: 'extended' };
      return resultOf(await this.#driver.query<unknown[]>(query as QueryArrayConfig));
    });
  }

  /**
   * Runs one of our statements, such as FETCH, with `path` as search path, in one round trip. Call it in a transaction: if the statement
   * fails, only a rollback restores the path.
   */
  async queryAtOnce(sql: string, path: string | undefined): Promise<Result> {
    const statements =
      path === undefined ? [sql] : [`SET search_path = ${path}`, sql, `SET search_path = ${SAFE_PATH}`];
    return await this.#inPath(undefined, async () => {
      const query = { text: statements.join('; '), rowMode: 'array', types } as QueryArrayConfig;
      const results = [await this.#driver.query<unknown[]>(query)].flat();
      return resultOf(results[path === undefined ? 0 : 1] as QueryArrayResult<unknown[]>);
    });
  }

  /** Runs statements without parameters, with `path` as search path. */
  async script(sql: string, path?: string): Promise<void> {
    await this.#inPath(path, async () => void (await this.#driver.query(sql)));
  }

  /**
   * Runs `act`, or else closes the connection, and with it its locks and its transaction, so that the caller can rethrow an
   * original error.
   */
  async orClose(act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof PostgresError) && !(error instanceof BackfillError)) throw error;
      await this.close();
    }
  }

  /** Closes the connection. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    // While a statement runs, the server would not read the message that ends the session.
    if (!this.#isLost && this.#askedAt === undefined)
      await Promise.race([this.#driver.end(), sleep(END_MS, undefined, { ref: false })]);
    this.#destroy();
  }

  async #inPath<Answer>(path: string | undefined, act: () => Promise<Answer>): Promise<Answer> {
    const before = this.#last;
    const answer = (async () => {
      await before.catch(() => undefined); // its caller handles the error
      if (path === undefined) return await this.#request(act);
      await this.#request(() => this.#driver.query(`SET search_path = ${path}`));
      let given: Answer;
      try {
        given = await this.#request(act);
      } catch (error) {
        // In a transaction, its rollback restores the path.
        if (!this.#isInTransaction && !this.isLost) await this.#resetPath();
        throw error;
      }
      await this.#resetPath();
      return given;
    })();
    this.#last = answer;
    return await answer;
  }

  async #resetPath(): Promise<void> {
    await this.#request(() => this.#driver.query(`SET search_path = ${SAFE_PATH}`));
  }

  async #request<Answer>(act: () => Promise<Answer>): Promise<Answer> {
    if (this.#isClosed) throw new PostgresError('The connection is closed', 'POSTGRES_CONNECTION');
    this.#askedAt = performance.now();
    try {
      return await act();
    } catch (error) {
      const failure = postgresError(error);
      this.#isLost ||= failure.isLoss;
      // Also for a later statement that a late cancellation hits, or that finds the connection closed.
      if (this.#stoppedAt !== undefined && (failure.isLoss || failure.code === 'POSTGRES_57014'))
        throwIfAborted(this.signal, msg('while waiting for the database'));
      throw failure;
    } finally {
      this.#isCancelled = false;
      this.#askedAt = undefined;
      this.#lastAskedAt = performance.now();
    }
  }

  /** Cancels the current statement after an aborted signal; otherwise keeps an idle transaction alive. */
  #checkSignal(): void {
    const now = performance.now();
    if (this.signal?.aborted) this.#stoppedAt ??= now;
    if (this.#askedAt === undefined) {
      if (!this.#isInTransaction || this.isLost || now - this.#lastAskedAt < BEAT_MS) return;
      this.#lastAskedAt = now;
      this.#driver.query('').catch(() => undefined); // the next statement reports a loss
      return;
    }
    if (this.#stoppedAt === undefined) return;
    const askedMs = now - Math.max(this.#askedAt, this.#stoppedAt);
    if (askedMs < CANCEL_AFTER_MS) return;
    if (!this.#isCancelled) {
      this.#isCancelled = true;
      void cancelStatement(this.#driver, this.#config, CLEAR_UP_MS);
    }
    if (askedMs >= GIVE_UP_AFTER_MS || now - this.#stoppedAt >= CLEAR_UP_MS) this.#destroy();
  }

  #destroy(): void {
    this.#isLost = true;
    internalsOf(this.#driver).connection.stream.destroy();
  }
}
