import type { EventEmitter } from 'node:events';
import type Pg from 'pg';
import type { Client, ClientConfig, QueryArrayConfig } from 'pg';
import { ABORT_POLL_MS, type AbortSignalLike, throwIfAborted } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';
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

/** Whether the connection is lost, and with it the transaction. */
export const isDisconnected = (error: unknown): boolean => error instanceof PostgresError && error.isLoss;

/** An error of the driver's as one of PostgreSQL's. Without a code: the driver says so when the connection is gone. */
export function postgresError(error: unknown): PostgresError {
  if (error instanceof PostgresError) return error;
  if (!(error instanceof Error)) return new PostgresError(String(error), 'POSTGRES_CONNECTION');
  const { code } = error as { readonly code?: unknown };
  return new PostgresError(error.message, `POSTGRES_${typeof code === 'string' ? code : 'CONNECTION'}`);
}

/**
 * How columns are read by the OID of their type, as `SELECT oid, typname FROM pg_type` tells it; all others come as text. Integers come as
 * bigint, whatever their size, and booleans as 1 and 0: as SQLite has them.
 */
const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [16, (text) => (text === 't' ? 1n : 0n)], // bool
  [17, (text) => Buffer.from(text.slice(2), 'hex')], // bytea
  [20, BigInt], // int8
  [21, BigInt], // int2
  [23, BigInt], // int4
  [26, BigInt], // oid
  [700, Number], // float4
  [701, Number], // float8
  // numeric, of sums and averages: a column's own is asked for as text where each digit counts.
  [1700, (text) => (/^-?\d+$/.test(text) ? BigInt(text) : Number(text))],
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

/** The driver's client with those. */
export const internalsOf = (driver: Client): Internals => driver as unknown as Internals;

/** Loads the driver, which a project without PostgreSQL need not have. */
async function loadDriver(): Promise<typeof Pg> {
  try {
    return (await import('pg')).default;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new BackfillError(
      'DRIVER_MISSING',
      msg('The driver of PostgreSQL is not installed'),
      msg('Install it beside this package: npm install pg'),
      { cause: error },
    );
  }
}

/** What the driver is told of an attempt to connect. */
export function configOf(address: PostgresAddress, name: string, attempt: TlsAttempts[number]): ClientConfig {
  return {
    // The driver would take the name from it, and read the others otherwise than libpq.
    connectionString: withoutParameters(address.url, 'application_name', 'uselibpqcompat', ...TLS_PARAMETERS),
    application_name: name,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: connectTimeoutMs(address),
    // Given in any case, or the driver would read the environment.
    ssl: attempt,
  };
}

/** Whether the next attempt may succeed, as it is encrypted otherwise: the server has no encryption, or no rule for this client with it. */
export const isAboutTls = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(?:TLS_.*|28000)$/.test(String(error.code));

/** First bytes of an error and of a notice: lists of texts, which the driver reads to their end, where there is none for ever. */
const LISTS: readonly unknown[] = [...Buffer.from('EN')];

/** Length of what is before the contents of a message: its first byte, and the length of all that follows that. */
const HEAD_BYTES = 5;

/**
 * Returns a function that takes what a server sends, piece by piece, and throws at a list of texts without an end, before the driver has all
 * of it. It keeps no more of a message than its head and its last two bytes: a server may send an error of any length.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
function listGuard(): (piece: Buffer) => void {
  let head: Buffer = Buffer.alloc(0); // of a message, as far as it is here
  let leftBytes = 0; // of the contents of the one before
  let last: Buffer = head; // bytes of them, where it is a list
  let isList = false;
  return (piece) => {
    const bytes = head.length === 0 ? piece : Buffer.concat([head, piece]);
    let at = 0;
    for (;;) {
      const contents = bytes.subarray(at, at + leftBytes);
      at += contents.length;
      leftBytes -= contents.length;
      if (isList) last = Buffer.concat([last, contents.subarray(-2)]).subarray(-2);
      // The last text ends with a zero, and the list with another.
      if (isList && leftBytes === 0 && (last.at(-1) !== 0 || (last.at(-2) ?? 0) !== 0))
        throw new Error('A message of the server has no end');
      if (leftBytes > 0 || at + HEAD_BYTES > bytes.length) break;
      isList = LISTS.includes(bytes[at]);
      leftBytes = bytes.readUInt32BE(at + 1) + 1 - HEAD_BYTES;
      if (leftBytes < 0) throw new Error('A message of the server has no end');
      last = Buffer.alloc(0);
      at += HEAD_BYTES;
    }
    if (leftBytes === 0) isList = false; // it was looked at
    head = bytes.subarray(at);
  };
}

/** Ends a connection on which the driver can't read what arrives: it throws where nobody can catch it, and the program would end. */
function containErrors(connection: Internals['connection']): void {
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    attach(stream);
    for (const listener of stream.listeners('data')) {
      const guard = listGuard();
      stream.removeListener('data', listener as () => void);
      stream.on('data', (piece: Buffer) => {
        try {
          guard(piece);
          listener.call(stream, piece);
        } catch (error) {
          stream.destroy(error instanceof Error ? error : new Error(String(error)));
        }
      });
    }
  };
}

/** Connects, unless a stop comes first. */
export async function connected(config: ClientConfig, signal: AbortSignalLike | undefined): Promise<Client> {
  const pg = await loadDriver();
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
  }, ABORT_POLL_MS);
  try {
    await driver.connect();
    return driver;
  } catch (error) {
    connection.stream.destroy(); // the driver leaves that of some failures open
    throwIfAborted(signal, msg('while waiting for the database'));
    if (!(error instanceof Error)) throw error;
    // The driver's own errors have no code.
    const { code } = error as NodeJS.ErrnoException;
    if (error.message === 'timeout expired') Object.assign(error, { code: 'CONNECT_TIMEOUT' });
    else if (/does not support SSL/.test(error.message)) Object.assign(error, { code: 'TLS_UNSUPPORTED' });
    else if (isHandshake || /^ERR_(?:SSL|OSSL|TLS)_/.test(String(code)))
      Object.assign(error, { code: `TLS_${code ?? 'ENDED'}` });
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/**
 * Asks the server, on a connection of its own, to end the statement under way. Nobody waits for it: a server that does not hear it either
 * finds out that this client is gone.
 *
 * @param forMs how long it is tried, in milliseconds
 */
export async function cancelStatement(driver: Client, config: ClientConfig, forMs: number): Promise<void> {
  const pg = await loadDriver();
  const { processID, secretKey } = internalsOf(driver);
  const { connection } = internalsOf(new pg.Client(config));
  containErrors(connection);
  connection.on('error', () => undefined); // a server that can't be reached runs nothing for us any more
  connection.once(config.ssl ? 'sslconnect' : 'connect', () => connection.cancel(processID, secretKey));
  if (driver.host.startsWith('/')) connection.connect(`${driver.host}/.s.PGSQL.${driver.port}`);
  else connection.connect(driver.port, driver.host);
  connection.stream.unref();
  setTimeout(() => connection.stream.destroy(), forMs).unref();
}
