import type { EventEmitter } from 'node:events';
import type Pg from 'pg';
import type { Client, ClientConfig, QueryArrayConfig } from 'pg';
import { ABORT_POLL_MS, type AbortSignalLike, throwIfAborted } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { msg } from '../../messages/message.js';

/**
 * An error of PostgreSQL or of the connection to it. Its message may quote a row, so it must only become a `cause`, never a log
 * line.
 */
export class PostgresError extends Error {
  override readonly name = 'PostgresError';
  /** `POSTGRES_` with the SQLSTATE, or with the error name of the operating system. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }

  /**
   * Whether the connection is lost, and with it the transaction, the locks and the settings of its session. 08P01 is not a loss:
   * it concerns one message, such as a text with U+0000.
   */
  get isLoss(): boolean {
    return !/^POSTGRES_(?!57P0|08(?!P01)|25P0[34])[0-9A-Z]{5}$/.test(this.code);
  }
}

/** Whether an error means that the connection is lost, and with it the transaction. */
export const isDisconnected = (error: unknown): boolean => error instanceof PostgresError && error.isLoss;

/**
 * Converts an error of the driver, which has no code if the connection is lost. The system's error names of five letters, such as
 * EPIPE, would look like a SQLSTATE.
 */
export function postgresError(error: unknown): PostgresError {
  if (error instanceof PostgresError) return error;
  if (!(error instanceof Error)) return new PostgresError(String(error), 'POSTGRES_CONNECTION');
  const { code, syscall } = error as NodeJS.ErrnoException;
  const isNamed = typeof code === 'string' && !(syscall !== undefined && code.length === 5);
  return new PostgresError(error.message, `POSTGRES_${isNamed ? code : 'CONNECTION'}`);
}

/**
 * Parsers of column values by the type's OID in `pg_type`; other types are returned as text. As in SQLite, integers of any size
 * become bigint, and booleans 1 and 0.
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
  // numeric, for sums and averages; columns are selected as text where every digit matters.
  [1700, (text) => (/^-?\d+$/.test(text) ? BigInt(text) : Number(text))],
]);

const asIs = (text: string): string => text;

/** Parsers of values, for the driver. */
export const types = { getTypeParser: (oid: number) => PARSERS.get(oid) ?? asIs } as unknown as NonNullable<
  QueryArrayConfig['types']
>;

/** Members of the driver's client that its types lack. */
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

/** Returns the driver's client with its internal members. */
export const internalsOf = (driver: Client): Internals => driver as unknown as Internals;

/** Loads the driver, which projects without PostgreSQL do not need. */
export async function loadDriver(): Promise<typeof Pg> {
  try {
    return (await import('pg')).default;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new BackfillError(
      'DRIVER_MISSING',
      msg('The PostgreSQL driver is not installed'),
      msg('Install it: npm install pg'),
      { cause: error },
    );
  }
}

/** Whether an attempt with another encryption may succeed: the server lacks TLS, or has no pg_hba.conf rule for this client. */
export const isAboutTls = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(?:TLS_.*|28000)$/.test(String(error.code));

/** First bytes of an error and of a notice: lists of texts, in which the driver loops forever if the terminator is missing. */
const LISTS: readonly unknown[] = [...Buffer.from('EN')];

/** Length of a message's head: its type byte and the length field. */
const HEAD_BYTES = 5;

const NO_BYTES: Buffer = Buffer.alloc(0);

/**
 * Returns a function that inspects the server's messages, piece by piece, and throws at a list without a terminator before the
 * driver has all of it. It keeps only the head and the last two bytes of a message, because a server may send an error of any
 * length.
 *
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
function listGuard(): (piece: Buffer) => void {
  let head = NO_BYTES; // start of an incomplete message head
  let leftBytes = 0; // rest of the current message's contents
  let last = NO_BYTES; // last bytes of a list
  let isList = false;
  return (piece) => {
    const bytes = head.length === 0 ? piece : Buffer.concat([head, piece]);
    let at = 0;
    for (;;) {
      const end = Math.min(at + leftBytes, bytes.length);
      // A row is a message, so nothing is allocated for other messages.
      if (isList) last = Buffer.concat([last, bytes.subarray(at, end).subarray(-2)]).subarray(-2);
      leftBytes -= end - at;
      at = end;
      // The last text ends with a zero byte, and the list with another.
      if (isList && leftBytes === 0 && (last.at(-1) !== 0 || (last.at(-2) ?? 0) !== 0))
        throw new Error('A message of the server has no end');
      if (leftBytes > 0 || at + HEAD_BYTES > bytes.length) break;
      isList = LISTS.includes(bytes[at]);
      leftBytes = bytes.readUInt32BE(at + 1) + 1 - HEAD_BYTES;
      if (leftBytes < 0) throw new Error('A message of the server has no end');
      last = NO_BYTES;
      at += HEAD_BYTES;
    }
    if (leftBytes === 0) isList = false; // checked above
    head = at === bytes.length ? NO_BYTES : bytes.subarray(at);
  };
}

/**
 * Makes errors in the driver's parser end the connection. They are thrown in a socket listener, where they would end the process.
 */
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

/** Connects, unless the signal is aborted first. */
export async function connected(config: ClientConfig, signal: AbortSignalLike | undefined): Promise<Client> {
  const pg = await loadDriver();
  const driver = new pg.Client(config);
  driver.on('error', () => undefined); // connect() rejects with it
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
    connection.stream.destroy(); // after some failures the driver leaves it open
    throwIfAborted(signal, msg('while waiting for the database'));
    if (!(error instanceof Error)) throw error;
    // The driver's errors have no code.
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
 * Asks the server, on a separate connection, to cancel the current statement. Best effort: a server that does not receive the
 * request notices later that this client is gone.
 *
 * @param forMs maximum duration of the attempt, in milliseconds
 */
export async function cancelStatement(driver: Client, config: ClientConfig, forMs: number): Promise<void> {
  const pg = await loadDriver();
  const { processID, secretKey } = internalsOf(driver);
  const { connection } = internalsOf(new pg.Client(config));
  containErrors(connection);
  connection.on('error', () => undefined); // an unreachable server no longer runs anything for this client
  connection.once(config.ssl ? 'sslconnect' : 'connect', () => connection.cancel(processID, secretKey));
  if (driver.host.startsWith('/')) connection.connect(`${driver.host}/.s.PGSQL.${driver.port}`);
  else connection.connect(driver.port, driver.host);
  connection.stream.unref();
  setTimeout(() => connection.stream.destroy(), forMs).unref();
}
