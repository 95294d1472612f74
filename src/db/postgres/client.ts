import type { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type Pg from 'pg';
import type { Client, ClientConfig, QueryArrayConfig } from 'pg';
import { BackfillError } from '../../errors.js';
import type { StopSignal } from '../../stop.js';
import { throwIfStopped } from '../../stop.js';
import type { SqlValue } from '../connection.js';
import { connectTimeoutMs, type PostgresAddress, shownAddress, withoutParameters } from './address.js';
import { PostgresError, postgresError } from './error.js';
import { TLS_PARAMETERS, type TlsAttempts, tlsAttempts } from './tls.js';
import { types } from './types.js';

/** The search path of our sessions: nobody but a superuser makes anything there. What sees another is asked with that. */
export const SAFE_PATH = 'pg_catalog, pg_temp';

/** Rows as the driver gives them: integers as bigint. */
export interface Result {
  readonly rows: readonly (readonly unknown[])[];
  readonly fields: readonly string[];
  readonly count: number;
}

/** A server that is gone without a word is found out by the operating system, which begins to ask after so long. */
const KEEP_ALIVE_MS = 10_000;

/** How long the server is waited for when a connection ends, in milliseconds: one that is silent does not keep the program. */
const END_MS = 1000;

/** How often it is looked whether to stop, in milliseconds. */
const LOOK_MS = 20;

/** How often a transaction in which nothing is asked shows the server that its client lives, in milliseconds. */
const BEAT_MS = 1000;

/** From a stop on: after how long the statement under way is cancelled, and after how long the connection is given up, in milliseconds. */
const [CANCEL_AFTER_MS, GIVE_UP_AFTER_MS] = [40, 80];

/** How long what a stopped run has to clear up may take in all, in milliseconds. */
const CLEAR_UP_MS = 1000;

/** What of the driver's client is not in its types. */
interface Internals {
  readonly connection: EventEmitter & {
    readonly stream: EventEmitter & { destroy(): void; unref(): void };
    attachListeners(stream: EventEmitter & { destroy(error?: Error): void }): void;
    connect(port: number | string, host?: string): void;
    cancel(processId: number, secretKey: number): void;
  };
  readonly processID: number;
  readonly secretKey: number;
}

const internalsOf = (driver: Client): Internals => driver as unknown as Internals;

/**
 * A connection to PostgreSQL. The server drops it, its locks and its transaction with this process, however that ends.
 *
 * Where it has a signal, a stop cancels the statement under way: whoever waits for that is told `TERMINATED` or `INTERRUPTED`.
 */
export class PostgresClient {
  readonly address: PostgresAddress;
  readonly #driver: Client;
  readonly #config: ClientConfig;
  readonly #signal: StopSignal | undefined;
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
    signal: StopSignal | undefined,
  ) {
    this.address = address;
    this.#driver = driver;
    this.#config = config;
    this.#signal = signal;
    const { connection } = internalsOf(driver);
    driver.on('error', () => {
      this.#isLost = true; // whoever asks next is told of it
    });
    driver.on('end', () => {
      this.#isLost = true;
    });
    connection.on('readyForQuery', ({ status }: { readonly status: string }) => {
      this.#isInTransaction = status !== 'I';
    });
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /**
   * Connects.
   *
   * @param name what the server calls the connection: it tells others whose it is, in 63 bytes
   * @throws {PostgresError}
   * @throws {BackfillError} `DRIVER_MISSING`, `USAGE` for what the URL says of encryption, `TERMINATED`, `INTERRUPTED`
   */
  static async open(address: PostgresAddress, name: string, signal?: StopSignal): Promise<PostgresClient> {
    const attempts = tlsAttempts(address);
    const pg = await loadDriver();
    let failure: unknown;
    for (const attempt of attempts) {
      try {
        const config = configOf(address, name, attempt);
        return new PostgresClient(address, await connected(pg, config, signal), config, signal);
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

  /** What a person knows the database by. */
  get shown(): string {
    return shownAddress(this.address);
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
      if (path === undefined) return await this.#ask(act);
      await this.#ask(() => this.#driver.query(`SET search_path = ${path}`));
      let given: Answer;
      try {
        given = await this.#ask(act);
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
    await this.#ask(() => this.#driver.query(`SET search_path = ${SAFE_PATH}`));
  }

  async #ask<Answer>(act: () => Promise<Answer>): Promise<Answer> {
    if (this.#isClosed) throw new PostgresError('The connection is closed', 'POSTGRES_CONNECTION');
    this.#askedAt = performance.now();
    try {
      return await act();
    } catch (error) {
      const failure = postgresError(error);
      this.#isLost ||= failure.isLoss;
      if (this.#isCancelled && (failure.isLoss || failure.code === 'POSTGRES_57014'))
        throwIfStopped(this.#signal, 'while the database was waited for');
      throw failure;
    } finally {
      this.#isCancelled = false;
      this.#askedAt = undefined;
      this.#lastAskedAt = performance.now();
    }
  }

  /** Cancels what a stop must not wait for; else shows the server that this client lives: it ends a session whose transaction is idle. */
  #look(): void {
    const now = performance.now();
    if (this.#signal?.aborted) this.#stoppedAt ??= now;
    if (this.#askedAt === undefined) {
      if (!this.#isInTransaction || this.isLost || now - this.#lastAskedAt < BEAT_MS) return;
      this.#lastAskedAt = now;
      this.#driver.query('').catch(() => undefined); // the next question is told of it
      return;
    }
    if (this.#stoppedAt === undefined) return;
    const askedMs = now - Math.max(this.#askedAt, this.#stoppedAt);
    if (askedMs < CANCEL_AFTER_MS) return;
    if (!this.#isCancelled) this.#cancel();
    if (askedMs >= GIVE_UP_AFTER_MS || now - this.#stoppedAt >= CLEAR_UP_MS) this.#destroy();
  }

  /** Asks the server, on a connection of its own, to end the statement under way. */
  #cancel(): void {
    this.#isCancelled = true;
    void loadDriver().then((pg) => {
      const { processID, secretKey } = internalsOf(this.#driver);
      const { host, port } = this.#driver;
      const { connection } = internalsOf(new pg.Client(this.#config));
      connection.on('error', () => undefined); // a server that can't be reached runs nothing for us any more
      connection.once(this.#config.ssl ? 'sslconnect' : 'connect', () =>
        connection.cancel(processID, secretKey),
      );
      if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
      else connection.connect(port, host);
      // Nobody waits for it: a server that does not hear it either finds out that this client is gone.
      connection.stream.unref();
      setTimeout(() => connection.stream.destroy(), CLEAR_UP_MS).unref();
    });
  }

  #destroy(): void {
    this.#isLost = true;
    internalsOf(this.#driver).connection.stream.destroy();
  }
}

/** Loads the driver, which a project without PostgreSQL need not have. */
async function loadDriver(): Promise<typeof Pg> {
  try {
    return (await import('pg')).default;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new BackfillError(
      'DRIVER_MISSING',
      'The driver of PostgreSQL is not installed',
      'Install it beside this package: npm install pg',
      { cause: error },
    );
  }
}

function configOf(address: PostgresAddress, name: string, attempt: TlsAttempts[number]): ClientConfig {
  const { checksHost, ...ssl } = attempt || { checksHost: false };
  return {
    // The driver would take the name from it, and read the others otherwise than libpq.
    connectionString: withoutParameters(address.url, 'application_name', 'uselibpqcompat', ...TLS_PARAMETERS),
    application_name: name,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: connectTimeoutMs(address),
    // Given in any case, or the driver would read the environment.
    ssl: attempt && { ...ssl, ...(checksHost ? {} : { checkServerIdentity: () => undefined }) },
  };
}

/** Whether the next attempt may succeed, as it is encrypted otherwise: the server has no encryption, or no rule for this client with it. */
const isAboutTls = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(?:TLS_.*|28000)$/.test(String(error.code));

/** Ends a connection on which the driver can't read what arrives: it throws where nobody can catch it, and the program would end. */
function containErrors(connection: Internals['connection']): void {
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    attach(stream);
    for (const listener of stream.listeners('data')) {
      stream.removeListener('data', listener as () => void);
      stream.on('data', (...chunk: unknown[]) => {
        try {
          listener.apply(stream, chunk);
        } catch (error) {
          stream.destroy(error instanceof Error ? error : new Error(String(error)));
        }
      });
    }
  };
}

async function connected(
  pg: typeof Pg,
  config: ClientConfig,
  signal: StopSignal | undefined,
): Promise<Client> {
  const driver = new pg.Client(config);
  driver.on('error', () => undefined); // whoever connects is told of it
  const { connection } = internalsOf(driver);
  containErrors(connection);
  let isHandshake = false;
  connection.once('sslconnect', () => {
    isHandshake = true;
    connection.stream.once('secureConnect', () => {
      isHandshake = false;
    });
  });
  const timer = setInterval(() => {
    if (signal?.aborted) connection.stream.destroy();
  }, LOOK_MS);
  const timeoutMs = config.connectionTimeoutMillis ?? 0;
  const startedAt = performance.now();
  try {
    await driver.connect();
  } catch (error) {
    throwIfStopped(signal, 'while the database was waited for');
    // The driver's own errors have no code.
    const { code } = error as { readonly code?: unknown };
    const isOver = timeoutMs > 0 && performance.now() - startedAt >= timeoutMs - 1;
    if (isOver && error instanceof Error && code === undefined)
      Object.assign(error, { code: 'CONNECT_TIMEOUT' });
    else if (error instanceof Error && /does not support SSL/.test(error.message))
      Object.assign(error, { code: 'TLS_UNSUPPORTED' });
    else if (error instanceof Error && (isHandshake || /^ERR_(?:SSL|OSSL|TLS)_/.test(String(code))))
      Object.assign(error, { code: `TLS_${String(code ?? 'ENDED')}` });
    throw error;
  } finally {
    clearInterval(timer);
  }
  return driver;
}
