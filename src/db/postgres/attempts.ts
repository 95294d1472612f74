import { hostname } from 'node:os';
import type { ClientConfig } from 'pg';
import { type AbortSignalLike, pauseFor, throwIfAborted } from '../../abort.js';
import { BackfillError } from '../../errors.js';
import { type Message, msg } from '../../messages/message.js';
import {
  connectTimeoutMs,
  type PostgresAddress,
  plaintextWarnings,
  settingsWarnings,
  TLS_PARAMETERS,
  tlsAttempts,
  urlParameter,
  withoutParameters,
} from './address.js';
import { driverConfig } from './settings.js';

/** Idle time before TCP keep-alive probes, which detect a dead server. */
const KEEP_ALIVE_MS = 10_000;

/** Attempts to connect to a database. */
export interface Attempts {
  /** The address that they use: what a function has returned, if there is one. */
  readonly address: PostgresAddress;
  /** The driver's options, in order. */
  readonly configs: readonly ClientConfig[];
  /** Warnings about encryption. */
  readonly warnings: readonly Message[];
}

/**
 * Returns the attempts to connect to a database.
 *
 * @throws {BackfillError} `USAGE` for invalid settings, `STORE_UNREACHABLE` if a function does not return in time, `DRIVER_MISSING`
 */
export async function attemptsOf(given: PostgresAddress, signal?: AbortSignalLike): Promise<Attempts> {
  const address = given.fresh ? await inTime(given.fresh(), connectTimeoutMs(given), signal) : given;
  const { url, settings } = address;
  const usual = {
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: connectTimeoutMs(address),
  };
  if (settings) {
    const read = await driverConfig(settings);
    const config = { ...usual, ...read, application_name: sessionName(read.application_name) };
    return { address, configs: [config], warnings: settingsWarnings(read) };
  }
  const configs = tlsAttempts(address).map((ssl) => ({
    ...usual,
    // The driver would take the name from the URL, and interprets the other parameters differently from libpq.
    connectionString: withoutParameters(url, 'application_name', 'uselibpqcompat', ...TLS_PARAMETERS),
    application_name: sessionName(urlParameter(url, 'application_name')),
    ssl, // always set, because otherwise the driver reads the environment
  }));
  return { address, configs, warnings: plaintextWarnings(address) };
}

/** Waits for an address, but no longer than for a connection. */
async function inTime(
  asked: Promise<PostgresAddress>,
  timeoutMs: number,
  signal: AbortSignalLike | undefined,
): Promise<PostgresAddress> {
  const done = new AbortController();
  const either = {
    get aborted() {
      return done.signal.aborted || signal?.aborted === true;
    },
  };
  const late = pauseFor(timeoutMs || Number.POSITIVE_INFINITY, either).then(() => {
    throwIfAborted(signal, msg('while waiting for the database'));
    throw new BackfillError(
      'STORE_UNREACHABLE',
      msg('The function passed as `database` has not returned for {seconds} s', {
        seconds: timeoutMs / 1000,
      }),
      msg('Check what it waits for, then run the same command again; PGCONNECT_TIMEOUT=SECONDS waits longer'),
    );
  });
  try {
    return await Promise.race([asked, late]);
  } finally {
    late.catch(() => undefined);
    done.abort();
  }
}

// Names of our sessions, by which other processes identify their process and machine.

/** Maximum length of a name, in bytes; PostgreSQL truncates a longer one. */
const LONGEST_NAME = 63;

/**
 * Returns the name of this process's sessions: `umzug-backfill PID@HOST`, after the application's.
 *
 * @param application the `application_name` of the address
 */
function sessionName(application = ''): string {
  const ours = `umzug-backfill ${process.pid}@${hostname()}`.slice(0, LONGEST_NAME);
  const room = Math.max(0, LONGEST_NAME - ours.length - 1);
  // In ASCII, because the server replaces other characters, from 16 on with longer escapes, and then truncates.
  const given = application.replace(/[^ -~]/g, '?').slice(0, room);
  return given === '' ? ours : `${given} ${ours}`;
}
