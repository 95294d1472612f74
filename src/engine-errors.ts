import type { ErrorCode } from './errors.js';
import { msg, type PlainText } from './messages/message.js';

type Meaning = readonly [code: ErrorCode, message: PlainText, hint: PlainText];

type Meanings = Readonly<Record<string, Meaning>>;

const STATEMENT_REJECTED: Meaning = [
  'STATEMENT_REJECTED',
  'PostgreSQL rejected a statement',
  'Check the code in the appendix "PostgreSQL Error Codes" of its manual, and compare the schema with what the steps expect',
];

const SERVER_UNREACHABLE: Meaning = [
  'STORE_UNREACHABLE',
  'The server cannot be reached, or the connection was lost',
  'Check the address, and that the server is up; then run the same command again',
];

const SERVER_LOST: Meaning = [
  'STORE_UNREACHABLE',
  'The server closed the connection, or is not up yet',
  'Run the same command again when it is up; it resumes where it stopped',
];

const AUTHORITY_UNKNOWN: Meaning = [
  'TLS_FAILED',
  'No authority that this program trusts has signed the certificate of the server',
  'Set sslrootcert=FILE in the URL, or PGSSLROOTCERT, to the certificate of the authority that has signed it',
];

/** Explanations of codes of SQLite and PostgreSQL by a prefix; the first match counts. */
const ENGINE_MEANINGS: Meanings = {
  SQLITE_READONLY_ROLLBACK: [
    'STORE_HOT_JOURNAL',
    'The store has a hot journal: a writer died in the middle of a transaction',
    'Open the store for writing once, so that SQLite rolls it back: sqlite3 STORE "SELECT 1 FROM sqlite_schema"',
  ],
  SQLITE_READONLY_DIRECTORY: [
    'STORE_FOLDER_READONLY',
    'The folder of the store cannot be written, and SQLite keeps its journal there',
    'Grant this user write permission on the folder of the store',
  ],
  SQLITE_CANTOPEN: [
    'STORE_FOLDER_READONLY',
    'SQLite cannot open the store or create its -wal and -shm files',
    'Grant this user read and write permission on the store and its folder',
  ],
  SQLITE_READONLY_DBMOVED: [
    'STORE_IO',
    'The store was moved or replaced while it was in use',
    'Run the same command again on the file that is there now',
  ],
  SQLITE_PROTOCOL: [
    'STORE_BUSY',
    'Other processes kept the WAL index locked for longer than the timeout',
    'Run the same command again; nothing done so far is lost',
  ],
  SQLITE_READONLY: [
    'STORE_READONLY',
    'This user cannot write the store',
    'Grant this user write permission on the store: chmod u+w STORE',
  ],
  SQLITE_BUSY: [
    'STORE_BUSY',
    'Another process kept the store locked for longer than the timeout',
    'Stop or pause the other writer, then run the same command again; nothing done so far is lost',
  ],
  SQLITE_LOCKED: [
    'STORE_BUSY',
    'The store is locked by another connection of this process',
    'Close the other connection, then run the same command again',
  ],
  SQLITE_FULL: [
    'STORE_FULL',
    'The disk is full, or the store has reached its page limit',
    'Free disk space, then run the same command again; it resumes where it stopped',
  ],
  SQLITE_IOERR_SHMSIZE: [
    'STORE_FULL',
    'The disk has no space for the WAL index, the -shm file of the store',
    'Free disk space, then run the same command again; it resumes where it stopped',
  ],
  SQLITE_IOERR: [
    'STORE_IO',
    'Reading or writing the store failed in the operating system',
    'Check the disk (dmesg), then run the same command again; it resumes where it stopped',
  ],
  SQLITE_NOTADB: [
    'STORE_NOT_A_DATABASE',
    'The file is not an SQLite database',
    'Pass the path of the store with --db-path; if this is the store, it is damaged: restore its newest backup with umzug-backfill restore',
  ],
  SQLITE_CORRUPT: [
    'STORE_CORRUPT',
    'SQLite reports that the store is damaged',
    'Check it with: sqlite3 STORE "PRAGMA integrity_check"; if that fails, restore a backup: umzug-backfill restore',
  ],
  SQLITE_CONSTRAINT: [
    'STATEMENT_REJECTED',
    'SQLite rejected a statement',
    'Check for a trigger or a constraint that rejects it: sqlite3 STORE .schema',
  ],
  SQLITE_: [
    'STATEMENT_REJECTED',
    'SQLite rejected a statement',
    'Compare the schema with what the steps expect: sqlite3 STORE .schema',
  ],
  POSTGRES_55P03: [
    'STORE_BUSY',
    'Another connection held a lock for longer than the timeout',
    'Stop or pause it, then run the same command again; nothing done so far is lost',
  ],
  POSTGRES_40: [
    'STORE_BUSY',
    'Other transactions kept writing the same rows',
    'Run the same command again; nothing done so far is lost',
  ],
  POSTGRES_28: [
    'STORE_UNREACHABLE',
    'The server rejected this user',
    'Check the user and the password, and the rules of pg_hba.conf',
  ],
  POSTGRES_3D000: [
    'STORE_MISSING',
    'The server has no database with this name',
    'Pass a database that the application has created: --database-url postgres://HOST/DATABASE; this program creates none',
  ],
  POSTGRES_42501: [
    'STORE_READONLY',
    'This user lacks a privilege',
    'Run the command as the owner of the tables, or grant this user the privilege',
  ],
  POSTGRES_25006: [
    'STORE_READONLY',
    'The server is read-only: it is a replica, or configured so',
    'Pass the primary in --database-url',
  ],
  POSTGRES_25P03: SERVER_LOST, // idle_in_transaction_session_timeout
  POSTGRES_25P04: SERVER_LOST, // transaction_timeout
  POSTGRES_CONNECT_TIMEOUT: [
    'STORE_UNREACHABLE',
    'The server did not accept the connection in time',
    'Check the address, and that the server is up; then run the same command again, with a longer timeout if the server is slow: PGCONNECT_TIMEOUT=60',
  ],
  POSTGRES_TLS_UNSUPPORTED: [
    'TLS_FAILED',
    'The server does not support TLS, and sslmode requires it',
    'Turn on TLS at the server (ssl = on); or, on a trusted network only, set sslmode=disable',
  ],
  POSTGRES_TLS_ERR_TLS_CERT_ALTNAME_INVALID: [
    'TLS_FAILED',
    'The certificate of the server is for another host',
    'Use a host name from the certificate; or accept every host that the authority has signed: sslmode=verify-ca with sslrootcert=FILE',
  ],
  POSTGRES_TLS_CERT_: [
    'TLS_FAILED',
    'The certificate of the server is not valid, or not at this time',
    'Renew it at the server, and check the clocks of both machines',
  ],
  POSTGRES_TLS_DEPTH_ZERO_SELF_SIGNED_CERT: AUTHORITY_UNKNOWN,
  POSTGRES_TLS_SELF_SIGNED_CERT_IN_CHAIN: AUTHORITY_UNKNOWN,
  POSTGRES_TLS_UNABLE_TO_: AUTHORITY_UNKNOWN,
  POSTGRES_TLS_: [
    'TLS_FAILED',
    'The TLS handshake with the server failed',
    'Check the files of sslrootcert, sslcert and sslkey, and the log of the server',
  ],
  POSTGRES_53100: [
    'STORE_FULL',
    'The disk of the server is full',
    'Free disk space on the server, then run the same command again; it resumes where it stopped',
  ],
  POSTGRES_53: [
    'STORE_BUSY',
    'The server has reached a limit, such as its number of connections',
    'Run the same command again when the server has fewer clients',
  ],
  POSTGRES_54001: [
    'STATEMENT_REJECTED',
    'A statement exceeds the stack depth limit of the server',
    'Raise max_stack_depth of the server, then run the same command again; it resumes where it stopped',
  ],
  POSTGRES_XX001: [
    'STORE_CORRUPT',
    'The server reports that the data are damaged',
    'Check the log of the server; if it confirms the damage, restore a backup of the database',
  ],
  POSTGRES_XX002: [
    'STORE_CORRUPT',
    'The server reports that an index is damaged',
    'Run REINDEX DATABASE, then the same command again',
  ],
  POSTGRES_57P: SERVER_LOST,
  POSTGRES_08P01: [
    'STATEMENT_REJECTED',
    'The server cannot read a statement',
    'Remove U+0000 from the SQL of the steps: PostgreSQL has no text with it',
  ],
  POSTGRES_08: [
    'STORE_UNREACHABLE',
    'The connection to the server was lost',
    'Run the same command again when it is up; it resumes where it stopped',
  ],
};

/** Returns the explanation of a code of SQLite or PostgreSQL. */
export function engineMeaning(code: string): Meaning {
  const [, known] = Object.entries(ENGINE_MEANINGS).find(([prefix]) => code.startsWith(prefix)) ?? [];
  return known ?? (/^POSTGRES_[0-9A-Z]{5}$/.test(code) ? STATEMENT_REJECTED : SERVER_UNREACHABLE);
}

/** Explanations of errors of the operating system. */
export const SYSTEM_MEANINGS: Meanings = {
  ENOSPC: ['STORE_FULL', 'The disk is full', 'Free disk space, then run the same command again'],
  EDQUOT: [
    'STORE_FULL',
    'The disk quota of this user is exceeded',
    'Free disk space, then run the same command again',
  ],
  EIO: ['STORE_IO', 'Reading or writing a file failed in the operating system', 'Check the disk (dmesg)'],
  EACCES: [
    'STORE_FOLDER_READONLY',
    'This user may not write a file',
    'Grant this user read and write permission on it and its folder',
  ],
  EPERM: [
    'STORE_FOLDER_READONLY',
    'This user may not change a file',
    'Run the command as the owner of the store',
  ],
  EROFS: ['STORE_FOLDER_READONLY', 'The disk is mounted read-only', 'Mount it read-write'],
};

/**
 * SQLite's messages for functions and virtual tables that an untrusted schema must not use. If it rejects the whole schema, it
 * names the object.
 */
const UNSAFE_USE =
  /^(?:malformed database schema \((?<object>.*)\) - )?(?:error in .*: )?unsafe use of (?:virtual table "(?<table>.*)"|(?<call>.*))$/s;

/**
 * Parses SQLite's message about a function or virtual table that an untrusted schema must not use.
 *
 * @returns the `object` that uses it, if SQLite names one; its `name`; what is `used`, for messages. Undefined for any other message
 */
export function unsafeUse(message: string) {
  const { object, table, call } = UNSAFE_USE.exec(message)?.groups ?? {};
  if (table !== undefined)
    return { object, name: table, used: msg('the virtual table {name}', { name: table }) };
  return call === undefined ? undefined : { object, name: call.replace(/\(\)$/, ''), used: call };
}

/** An error of SQLite or PostgreSQL. Its message may quote a row, so it must only become a `cause`, never a log line. */
export interface EngineError extends Error {
  readonly code: string;
}

/** Whether an error is one of SQLite or PostgreSQL. */
export const isStoreError = (error: unknown): error is EngineError =>
  isSqliteError(error) || isPostgresError(error);

/** Whether an error may be caused by the contents of a row rather than by the statement. */
export const isAboutRow = (error: unknown): boolean =>
  isStoreError(error) && /^(?:SQLITE_(?:ERROR|TOOBIG|MISMATCH)|POSTGRES_22[0-9A-Z]{3})$/.test(error.code);

const hasCode = (error: unknown, prefix: string): error is EngineError =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'string' &&
  error.code.startsWith(prefix);

/** Whether an error is one of PostgreSQL or of the connection to it: its `code` is `POSTGRES_` with an SQLSTATE or a name. */
export const isPostgresError = (error: unknown): error is EngineError => hasCode(error, 'POSTGRES_');

/** Whether an error is one of SQLite: its `code` is a result code. */
export const isSqliteError = (error: unknown): error is EngineError => hasCode(error, 'SQLITE_');
