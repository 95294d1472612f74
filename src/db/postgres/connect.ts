import type { EventEmitter } from 'node:events';
import type Pg from 'pg';
import type { Client, ClientConfig, QueryArrayConfig } from 'pg';
import { BackfillError } from '../../errors.js';
import { LOOK_MS, type StopSignal, throwIfStopped } from '../../stop.js';
import { connectTimeoutMs, type PostgresAddress, withoutParameters } from './address.js';
import { TLS_PARAMETERS, type TlsAttempts } from './tls.js';

/** An error of PostgreSQL's, or of the way to it. Its message may quote a row: it is for `cause`, never for a log. */
export class PostgresError extends Error {
  override readonly name = 'PostgresError';
  /** `POSTGRES_` with the SQLSTATE, or with what the operating system calls it. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }

  /**
   * Whether the connection is lost, and with it the transaction, the locks and the settings of its session. 08P01 is about one message,
   * such as a text with U+0000.
   */
  get isLoss(): boolean {
    return !/^POSTGRES_(?!57P0|08(?!P01)|25P0[34])[0-9A-Z]{5}$/.test(this.code);
  }
}

/** An error of the driver's as one of PostgreSQL's. Without a code: the driver says so when the connection is gone. */
export function postgresError(error: unknown): PostgresError {
  if (error instanceof PostgresError) return error;
  if (!(error instanceof Error)) return new PostgresError(String(error), 'POSTGRES_CONNECTION');
  const { code } = error as { readonly code?: unknown };
  return new PostgresError(error.message, `POSTGRES_${typeof code === 'string' ? code : 'CONNECTION'}`);
}

/** Types of columns by their OID, as `SELECT oid, typname FROM pg_type` tells: those that do not come as text. */
const OID = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  float4: 700,
  float8: 701,
  numeric: 1700,
};

const integer = (text: string): bigint => BigInt(text);

/** Integers come as bigint, whatever their size, and booleans as 1 and 0: as SQLite has them. */
const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [OID.bool, (text) => (text === 't' ? 1n : 0n)],
  [OID.bytea, (text) => Buffer.from(text.slice(2), 'hex')],
  [OID.int8, integer],
  [OID.int2, integer],
  [OID.int4, integer],
  [OID.oid, integer],
  [OID.float4, Number],
  [OID.float8, Number],
  // Of sums and averages; a column's own is asked for as text where each digit counts.
  [OID.numeric, (text) => (/^-?\d+$/.test(text) ? BigInt(text) : Number(text))],
]);

const asIs = (text: string): string => text;

/** How values of a server become ours. */
export const types = { getTypeParser: (oid: number) => PARSERS.get(oid) ?? asIs } as unknown as NonNullable<
  QueryArrayConfig['types']
>;

// How a connection of the driver's is made.

/** A server that is gone without a word is found out by the operating system, which begins to ask after so long. */
const KEEP_ALIVE_MS = 10_000;

/** What of the driver's client is not in its types. */
export interface Internals {
  readonly connection: EventEmitter & {
    readonly stream: EventEmitter & { destroy(): void; unref(): void };
    attachListeners(stream: EventEmitter & { destroy(error?: Error): void }): void;
    connect(port: number | string, host?: string): void;
    cancel(processId: number, secretKey: number): void;
  };
  readonly processID: number;
  readonly secretKey: number;
}

/** The driver's client with those. */
export const internalsOf = (driver: Client): Internals => driver as unknown as Internals;

/** Loads the driver, which a project without PostgreSQL need not have. */
export async function loadDriver(): Promise<typeof Pg> {
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

/** What the driver is told of an attempt to connect. */
export function configOf(address: PostgresAddress, name: string, attempt: TlsAttempts[number]): ClientConfig {
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
export const isAboutTls = (error: unknown): boolean =>
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

/** Connects, unless a stop comes first. */
export async function connected(
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
    connection.stream.destroy(); // the driver leaves that of some failures open
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
