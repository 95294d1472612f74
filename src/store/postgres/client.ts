import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { BackfillError } from '../../errors.js';
import type { SqlValue } from '../port.js';
import { connectTimeoutMs, type PostgresAddress, shownAddress, withoutParameters } from './address.js';
import { TLS_PARAMETERS, type TlsAttempts, tlsAttempts } from './tls.js';

/** Place of the word that says whether an answer is there. */
export const PENDING = 0;

/** What that word says then. */
export const READY = 1;

/** Place of the word that the thread counts its beats in. */
export const BEATS = 1;

/** Time between two beats of the thread, in milliseconds. */
export const BEAT_MS = 1000;

/** How many beats may be missing while an answer is waited for: a thread that has ended, as without memory, answers no more. */
const MISSING_BEATS = 30;

/** What the thread is told when it starts. */
export interface ClientData {
  readonly signal: Int32Array<SharedArrayBuffer>;
  readonly url: string;
  readonly tls: TlsAttempts;
  /** What the server calls the connection. */
  readonly name: string;
  /** How long the server may take to let the connection in, in milliseconds; 0: as long as it takes. */
  readonly connectTimeoutMs: number;
}

/** What the thread is asked. */
export interface Question {
  /** One statement, a script without parameters, or the end. */
  readonly kind: 'statement' | 'script' | 'close';
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
  /** The search path that it sees, as SET has it. Default: that of the session, which has no names but PostgreSQL's own. */
  readonly path?: string | undefined;
}

/** The search path of our sessions: nobody but a superuser makes anything there. What sees another is asked with that. */
export const SAFE_PATH = 'pg_catalog, pg_temp';

/** What it answers. */
export interface Answer {
  readonly rows?: unknown[][];
  readonly fields?: string[];
  /** Rows that were changed, or read. */
  readonly count?: number;
  readonly error?: { readonly message: string; readonly code?: string };
}

/** Rows as the driver gives them: integers as bigint. */
export interface Result {
  readonly rows: readonly (readonly unknown[])[];
  readonly fields: readonly string[];
  readonly count: number;
}

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

/**
 * A connection to PostgreSQL that answers at once: the driver runs on a thread of its own, and this one waits for it. So a batch is
 * one transaction in which nothing else can slip in, and engine and ledger are the same for a file and for a server.
 *
 * The server drops the connection, its locks and its transaction with this process, however that ends.
 */
export class PostgresClient {
  readonly address: PostgresAddress;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #signal = new Int32Array(new SharedArrayBuffer(8));
  #isClosed = false;
  #isLost = false;
  #hasThread = true;

  /** @param name what the server calls the connection: it tells others whose it is, in 63 bytes */
  constructor(address: PostgresAddress, name: string) {
    this.address = address;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const data: ClientData = {
      signal: this.#signal,
      // The driver would take the name from it, and read the others otherwise than libpq.
      url: withoutParameters(address.url, 'application_name', 'uselibpqcompat', ...TLS_PARAMETERS),
      tls: tlsAttempts(address),
      name,
      connectTimeoutMs: connectTimeoutMs(address),
    };
    this.#worker = new Worker(new URL('./client-thread.js', import.meta.url), {
      workerData: { ...data, port: port2 },
      transferList: [port2],
    });
    this.#worker.unref();
    this.#worker.on('error', () => undefined); // whoever waits for an answer is told
    this.#worker.on('exit', () => {
      this.#hasThread = false;
    });
  }

  /** Whether it is known to be lost: then no question will be answered any more. */
  get isLost(): boolean {
    return this.#isLost || this.#isClosed || !this.#hasThread;
  }

  /** Runs one statement, which sees `path`; `$1` and on stand for the parameters. */
  query(sql: string, parameters: readonly SqlValue[] = [], path?: string): Result {
    const { rows = [], fields = [], count = 0 } = this.#ask({ kind: 'statement', sql, parameters, path });
    return { rows, fields, count };
  }

  /** Runs statements without parameters, which see `path`. */
  script(sql: string, path?: string): void {
    this.#ask({ kind: 'script', sql, parameters: [], path });
  }

  /** Ends the connection. */
  close(): void {
    if (this.#isClosed) return;
    try {
      if (this.#hasThread) this.#ask({ kind: 'close', sql: '', parameters: [] });
    } finally {
      this.#isClosed = true;
      this.#port.close();
      void this.#worker.terminate();
    }
  }

  #ask(question: Question): Answer {
    if (this.#isClosed) throw new PostgresError('The connection is closed', 'POSTGRES_CONNECTION');
    Atomics.store(this.#signal, PENDING, 0);
    this.#port.postMessage(question);
    let [beats, missing] = [Atomics.load(this.#signal, BEATS), 0];
    while (this.#hasThread) {
      const answered = receiveMessageOnPort(this.#port) as { readonly message: Answer } | undefined;
      if (answered) return this.#checked(answered.message);
      if (Atomics.wait(this.#signal, PENDING, 0, BEAT_MS) !== 'timed-out') continue;
      const now = Atomics.load(this.#signal, BEATS);
      missing = now === beats ? missing + 1 : 0;
      beats = now;
      if (missing > MISSING_BEATS) this.#hasThread = false;
    }
    throw new PostgresError('The thread of the connection has ended', 'POSTGRES_THREAD_ENDED');
  }

  #checked(answer: Answer): Answer {
    const { error } = answer;
    if (!error) return answer;
    if (error.code === 'ERR_MODULE_NOT_FOUND') throw driverMissing();
    const isSqlState = error.code !== undefined && /^[0-9A-Z]{5}$/.test(error.code);
    // Without a code: the driver says so when the connection is gone.
    const failure = new PostgresError(
      error.message,
      `POSTGRES_${isSqlState ? error.code : (error.code ?? 'CONNECTION')}`,
    );
    this.#isLost ||= failure.isLoss;
    throw failure;
  }

  /** What a person knows the database by. */
  get shown(): string {
    return shownAddress(this.address);
  }
}

const driverMissing = (): BackfillError =>
  new BackfillError(
    'DRIVER_MISSING',
    'The driver of PostgreSQL is not installed',
    'Install it beside this package: npm install pg',
  );
