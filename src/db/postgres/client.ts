import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClientConfig, QueryArrayConfig } from 'pg';
import { ABORT_POLL_MS, type AbortSignalLike, throwIfAborted } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { SqlValue } from '../connection.js';
import type { PostgresAddress } from './address.js';
import {
  cancelStatement,
  configOf,
  connected,
  internalsOf,
  isAboutTls,
  PostgresError,
  postgresError,
  types,
} from './connect.js';
import { tlsAttempts } from './tls.js';

/** The search path of our sessions: nobody but a superuser makes anything there. What sees another is asked with that. */
export const SAFE_PATH = 'pg_catalog, pg_temp';

/** Rows as the driver gives them: integers as bigint. */
export interface Result {
  readonly rows: readonly (readonly unknown[])[];
  readonly fields: readonly string[];
  readonly count: number;
}

/** How long the server is waited for when a connection ends, in milliseconds: one that is silent does not keep the program. */
const END_MS = 1000;

/** How often a transaction in which nothing is asked shows the server that its client lives, in milliseconds. */
const BEAT_MS = 1000;

/**
 * From a stop on: after how long the statement under way is cancelled, and after how long the connection is given up, in milliseconds.
 * A server answers in 10. With the looks between, a process whose server is silent ends 60 to 75 ms after its signal.
 */
const [CANCEL_AFTER_MS, GIVE_UP_AFTER_MS] = [10, 45];

/** How long what a stopped run has to clear up may take in all, in milliseconds. */
const CLEAR_UP_MS = 1000;

/**
 * A connection to PostgreSQL. The server drops it, its locks and its transaction with this process, however that ends.
 *
 * Where it has a signal, a stop cancels the statement under way: whoever waits for that is told `TERMINATED` or `INTERRUPTED`.
 */
export class PostgresClient {
  readonly address: PostgresAddress;
  readonly #driver: Client;
  readonly #config: ClientConfig;
  /** What stops whoever waits for the database. */
  readonly signal: AbortSignalLike | undefined;
  readonly #timer: NodeJS.Timeout;
  #isInTransaction = false;
  #isClosed = false;
  #isLost = false;
  #isCancelled = false;
  /** When a stop was seen first. */
  #stoppedAt: number | undefined;
  /** Since when the server is asked. */
  #askedAt: number | undefined;
  #lastAskedAt = performance.now();
  /** The last statement; the next one waits for it. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    address: PostgresAddress,
    driver: Client,
    config: ClientConfig,
    signal: AbortSignalLike | undefined,
  ) {
    this.address = address;
    this.#driver = driver;
    this.#config = config;
    this.signal = signal;
    const { connection } = internalsOf(driver);
    const lose = (): void => {
      this.#isLost = true; // whoever asks next is told of it
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
   * @param name what the server calls the connection: it tells others whose it is, in 63 bytes
   * @throws {PostgresError}
   * @throws {BackfillError} `DRIVER_MISSING`, `USAGE` for what the URL says of encryption, `TERMINATED`, `INTERRUPTED`
   */
  static async open(
    address: PostgresAddress,
    name: string,
    signal?: AbortSignalLike,
  ): Promise<PostgresClient> {
    let failure: unknown;
    for (const attempt of tlsAttempts(address)) {
      try {
        const config = configOf(address, name, attempt);
        return new PostgresClient(address, await connected(config, signal), config, signal);
      } catch (error) {
        failure = error;
        if (!isAboutTls(error)) break;
      }
    }
    throw failure instanceof BackfillError ? failure : postgresError(failure);
  }

  /** Whether it is known to be lost: then no question will be answered any more. */
  get isLost(): boolean {
    return this.#isLost || this.#isClosed;
  }

  /** Runs one statement, which sees `path`; `$1` and on stand for the parameters. */
  async query(sql: string, parameters: readonly SqlValue[] = [], path?: string): Promise<Result> {
    return await this.#inPath(path, async () => {
      // The extended protocol: one statement, and no more, whatever it holds.
      const { rows, fields, rowCount } = await this.#driver.query<unknown[]>({
        text: sql,
        values: [...parameters],
        rowMode: 'array',
        types,
        queryMode: 'extended',
      } as QueryArrayConfig);
      return { rows, fields: fields.map((field) => field.name), count: rowCount ?? 0 };
    });
  }

  /** Runs statements without parameters, which see `path`. */
  async script(sql: string, path?: string): Promise<void> {
    await this.#inPath(path, async () => void (await this.#driver.query(sql)));
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    // A session whose statement is not done hears no goodbye before that is.
    if (!this.#isLost && this.#askedAt === undefined)
      await Promise.race([this.#driver.end(), sleep(END_MS, undefined, { ref: false })]);
    this.#destroy();
  }

  async #inPath<Answer>(path: string | undefined, act: () => Promise<Answer>): Promise<Answer> {
    const before = this.#last;
    const answer = (async () => {
      await before.catch(() => undefined); // its own caller is told
      if (path === undefined) return await this.#request(act);
      await this.#request(() => this.#driver.query(`SET search_path = ${path}`));
      let given: Answer;
      try {
        given = await this.#request(act);
      } catch (error) {
        // In a transaction the path is what it was before with the end of that.
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
      // Also of a later statement, which a late cancellation meets, or finds the connection given up: the stop is what is told.
      if (this.#stoppedAt !== undefined && (failure.isLoss || failure.code === 'POSTGRES_57014'))
        throwIfAborted(this.signal, msg('while waiting for the database'));
      throw failure;
    } finally {
      this.#isCancelled = false;
      this.#askedAt = undefined;
      this.#lastAskedAt = performance.now();
    }
  }

  /** Cancels what a stop must not wait for; else shows the server that this client lives: it ends a session whose transaction is idle. */
  #checkSignal(): void {
    const now = performance.now();
    if (this.signal?.aborted) this.#stoppedAt ??= now;
    if (this.#askedAt === undefined) {
      if (!this.#isInTransaction || this.isLost || now - this.#lastAskedAt < BEAT_MS) return;
      this.#lastAskedAt = now;
      this.#driver.query('').catch(() => undefined); // the next question is told of it
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
