import type { EventEmitter } from 'node:events';
import type Pg from 'pg';
import type { Client, ClientConfig } from 'pg';
import { BackfillError } from '../../errors.js';
import { LOOK_MS, type StopSignal, throwIfStopped } from '../../stop.js';
import { connectTimeoutMs, type PostgresAddress, withoutParameters } from './address.js';
import { TLS_PARAMETERS, type TlsAttempts } from './tls.js';

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
