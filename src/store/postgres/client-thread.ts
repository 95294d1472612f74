import type { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type MessagePort, workerData } from 'node:worker_threads';
import type Pg from 'pg';
import type { Client, QueryArrayConfig } from 'pg';
import {
  type Answer,
  BEAT_MS,
  BEATS,
  type ClientData,
  PENDING,
  type Question,
  READY,
  SAFE_PATH,
} from './client.js';
import type { TlsAttempts } from './tls.js';

/**
 * The thread of a `PostgresClient`: runs its questions on one connection and answers each, waking the thread that waits for it. The
 * driver is loaded here, so that a project without PostgreSQL need not have it.
 */

const { port, signal, url, tls, name, connectTimeoutMs } = workerData as ClientData & {
  readonly port: MessagePort;
};

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
const types = { getTypeParser: (oid: number) => PARSERS.get(oid) ?? asIs } as unknown as NonNullable<
  QueryArrayConfig['types']
>;

/** A server that is gone without a word is found out by the operating system, which begins to ask after so long. */
const KEEP_ALIVE_MS = 10_000;

/** How long the server is waited for when a connection ends, in milliseconds: one that is silent does not keep the program. */
const END_MS = 1000;

let client: Client | undefined;
let [isAsked, isInTransaction] = [false, false];

/**
 * Shows that this thread lives, to the one that waits for it, and to the server: that ends a session whose transaction is idle for
 * long, as of a client that is gone, and the program may take longer between two statements.
 */
function beat(): void {
  Atomics.add(signal, BEATS, 1);
  if (isInTransaction && !isAsked) client?.query('').catch(() => undefined); // the next question is told of it
}
setInterval(beat, BEAT_MS).unref();

/** Whether the next attempt may succeed, as it is encrypted otherwise: the server has no encryption, or no rule for this client with it. */
const isAboutTls = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(?:TLS_.*|28000)$/.test(String(error.code));

async function connect(): Promise<Client> {
  const { default: pg } = await import('pg');
  let failure: unknown;
  for (const attempt of tls) {
    try {
      return await connectBy(pg, attempt);
    } catch (error) {
      failure = error;
      if (!isAboutTls(error)) break;
    }
  }
  throw failure;
}

async function connectBy(pg: typeof Pg, attempt: TlsAttempts[number]): Promise<Client> {
  const { checksHost, ...ssl } = attempt || { checksHost: false };
  const made = new pg.Client({
    connectionString: url,
    application_name: name,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: connectTimeoutMs,
    // Given in any case, or the driver would read the environment.
    ssl: attempt && { ...ssl, ...(checksHost ? {} : { checkServerIdentity: () => undefined }) },
  });
  made.on('error', () => undefined); // the next question is told of it
  const { connection } = made as unknown as { readonly connection: EventEmitter & { stream: EventEmitter } };
  connection.on('readyForQuery', ({ status }: { readonly status: string }) => {
    isInTransaction = status !== 'I';
  });
  let isHandshake = false;
  connection.once('sslconnect', () => {
    isHandshake = true;
    connection.stream.once('secureConnect', () => {
      isHandshake = false;
    });
  });
  const startedAt = performance.now();
  try {
    await made.connect();
  } catch (error) {
    // The driver's own errors have no code.
    const { code } = error as { readonly code?: unknown };
    const isOver = connectTimeoutMs > 0 && performance.now() - startedAt >= connectTimeoutMs - 1;
    if (isOver && error instanceof Error && code === undefined)
      Object.assign(error, { code: 'CONNECT_TIMEOUT' });
    else if (error instanceof Error && /does not support SSL/.test(error.message))
      Object.assign(error, { code: 'TLS_UNSUPPORTED' });
    else if (error instanceof Error && (isHandshake || /^ERR_(?:SSL|OSSL|TLS)_/.test(String(code))))
      Object.assign(error, { code: `TLS_${String(code ?? 'ENDED')}` });
    throw error;
  }
  return made;
}

async function answer({ path, ...question }: Question): Promise<Answer> {
  if (path === undefined) return await answerAsIs(question);
  const set = await answerAsIs({ kind: 'script', sql: `SET search_path = ${path}`, parameters: [] });
  if (set.error) return set;
  const given = await answerAsIs(question);
  if (given.error && isInTransaction) return given; // it has failed, and with its end the path is what it was before
  const reset = await answerAsIs({ kind: 'script', sql: `SET search_path = ${SAFE_PATH}`, parameters: [] });
  return given.error ? given : reset.error ? reset : given;
}

async function answerAsIs({ kind, sql, parameters }: Question): Promise<Answer> {
  try {
    if (kind === 'close') {
      await Promise.race([client?.end(), sleep(END_MS)]);
      return { rows: [], fields: [], count: 0 };
    }
    client ??= await connect();
    if (kind === 'script') {
      await client.query(sql);
      return { rows: [], fields: [], count: 0 };
    }
    // The extended protocol: one statement, and no more, whatever it holds.
    const result = await client.query<unknown[]>({
      text: sql,
      values: [...parameters],
      rowMode: 'array',
      types,
      queryMode: 'extended',
    } as QueryArrayConfig);
    return {
      rows: result.rows,
      fields: result.fields.map((field) => field.name),
      count: result.rowCount ?? 0,
    };
  } catch (error) {
    return { error: told(error) };
  }
}

/** What of an error can be handed from thread to thread. */
function told(error: unknown): NonNullable<Answer['error']> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code } = error as { readonly code?: unknown };
  return { message: error.message, ...(typeof code === 'string' ? { code } : {}) };
}

function reply(given: Answer): void {
  port.postMessage(given);
  Atomics.store(signal, PENDING, READY);
  Atomics.notify(signal, PENDING);
}

// Whoever asks waits for an answer, whatever happens here; the connection is of no use any more.
process.on('uncaughtException', (error) => reply({ error: { message: String(error), code: 'CONNECTION' } }));

port.on('message', async (question: Question) => {
  isAsked = true;
  const given = await answer(question);
  isAsked = false;
  reply(given);
  if (question.kind === 'close') port.close();
});
