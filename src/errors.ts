import { engineMeaning, isSqliteError, isStoreError, SYSTEM_MEANINGS, unsafeUse } from './engine-errors.js';
import { english, type Message, msg, type PlainText, withValues } from './messages/message.js';
import { scrub, scrubError } from './secrets.js';
import { visible } from './visible.js';

/** Exit codes of the command line. Programs that need more detail read `code`. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  pending: 3,
  locked: 4,
  unverified: 5,
  interrupted: 130,
  terminated: 143,
} as const;

/** Error codes, with the exit code of a command that fails. docs/troubleshooting.md lists causes and fixes, held by a test. */
const EXIT_BY_CODE = {
  // invocation
  USAGE: EXIT.usage,
  NPM_KEPT_OPTION: EXIT.usage,
  CONFIG_MISSING: EXIT.usage,
  STEP_UNKNOWN: EXIT.usage,
  BACKFILL_UNKNOWN: EXIT.usage,
  // the project
  CONFIG_INVALID: EXIT.failed,
  CONFIG_UNTRUSTED: EXIT.failed,
  STEP_INVALID: EXIT.failed,
  STEP_UNSAFE: EXIT.failed,
  FILE_EXISTS: EXIT.failed,
  FOLDER_UNWRITABLE: EXIT.failed,
  STEP_DRIFTED: EXIT.failed,
  STEP_FILE_MISSING: EXIT.failed,
  STEP_IRREVERSIBLE: EXIT.failed,
  STEP_NOT_APPLIED: EXIT.failed,
  // the store
  STORE_MISSING: EXIT.failed,
  STORE_NOT_A_FILE: EXIT.failed,
  STORE_EMPTY: EXIT.failed,
  STORE_NOT_A_DATABASE: EXIT.failed,
  STORE_CORRUPT: EXIT.failed,
  STORE_READONLY: EXIT.failed,
  STORE_FOLDER_READONLY: EXIT.failed,
  STORE_HOT_JOURNAL: EXIT.failed,
  STORE_BUSY: EXIT.failed,
  STORE_FULL: EXIT.failed,
  STORE_IO: EXIT.failed,
  WAL_PINNED: EXIT.failed,
  STATEMENT_REJECTED: EXIT.failed,
  // safety
  ROOT_REFUSED: EXIT.failed,
  STORE_UNTRUSTED: EXIT.failed,
  RUN_LOCKED: EXIT.locked,
  LOCK_UNUSABLE: EXIT.failed,
  DISK_SPACE_LOW: EXIT.failed,
  BACKUP_FOLDER_UNUSABLE: EXIT.failed,
  BACKUP_MISSING: EXIT.failed,
  BACKUP_UNUSABLE: EXIT.failed,
  BACKUP_UNKNOWN: EXIT.failed,
  BACKUP_CHANGED: EXIT.failed,
  BACKUP_UNTRUSTED: EXIT.failed,
  STORE_IN_USE: EXIT.failed,
  // runtime
  NODE_TOO_OLD: EXIT.failed,
  DRIVER_UNUSABLE: EXIT.failed,
  // a server
  DRIVER_MISSING: EXIT.failed,
  STORE_UNREACHABLE: EXIT.failed,
  TLS_FAILED: EXIT.failed,
  POOLER_UNSUPPORTED: EXIT.failed,
  SEARCH_PATH_UNSAFE: EXIT.failed,
  SUPERUSER_REFUSED: EXIT.failed,
  // output files
  OUTPUT_IS_STORE: EXIT.failed,
  OUTPUT_EXISTS: EXIT.failed,
  OUTPUT_UNWRITABLE: EXIT.failed,
  OUTPUT_UNTRUSTED: EXIT.failed,
  // schema
  TABLE_MISSING: EXIT.failed,
  COLUMN_MISSING: EXIT.failed,
  KEY_UNSUITABLE: EXIT.failed,
  VERSION_MISSING: EXIT.failed,
  VERSION_UNREADABLE: EXIT.failed,
  VERSION_TOO_OLD: EXIT.failed,
  VERSION_TOO_NEW: EXIT.failed,
  SCHEMA_BLOCKED: EXIT.failed,
  SCHEMA_TAMPERED: EXIT.failed,
  SCHEMA_TRIAL_FAILED: EXIT.failed,
  COLUMN_HAS_VALUES: EXIT.failed,
  CONFIRMATION_REQUIRED: EXIT.failed,
  // the run
  TRIGGERS_WOULD_FIRE: EXIT.failed,
  ROW_REJECTED_REPEATEDLY: EXIT.failed,
  PROCESS_FAILED: EXIT.failed,
  PROCESS_CHANGED: EXIT.failed,
  NOT_DETERMINISTIC: EXIT.failed,
  WORKER_LOST: EXIT.failed,
  UPDATE_IGNORED: EXIT.failed,
  RUN_CONFLICT: EXIT.failed,
  SQLITE_LOADED_TWICE: EXIT.failed,
  IMPORT_REFUSED: EXIT.failed,
  PACKAGE_TOO_OLD: EXIT.failed,
  LEDGER_TOO_OLD: EXIT.failed,
  LEDGER_DAMAGED: EXIT.failed,
  LEDGER_UNTRUSTED: EXIT.failed,
  VERIFICATION_FAILED: EXIT.unverified,
  // other
  INTERRUPTED: EXIT.interrupted,
  TERMINATED: EXIT.terminated,
  INTERNAL: EXIT.failed,
} as const;

/** Stable name of a failure; never renamed or reused. */
export type ErrorCode = keyof typeof EXIT_BY_CODE;

/** Message and hint of an error as data. */
export interface ErrorTexts {
  readonly message: Message;
  readonly hint: Message;
}

/**
 * An error of this package: one sentence that states the problem, and a hint that fixes it.
 *
 * Neither contains data of a row or a message of the database, which may quote a row. `cause` may, so use it for debugging, not
 * for logs. None of the three contains a password. Message and hint are one line each, without control characters.
 *
 * @example
 * await migrateOnDeploy().catch((error: unknown) => {
 *   if (!(error instanceof BackfillError)) throw error;
 *   console.error(`${error.code}: ${error.message}. ${error.hint}`);
 *   process.exitCode = error.exitCode;
 * });
 */
export class BackfillError extends Error {
  override readonly name = 'BackfillError';
  /** Stable name of the failure. */
  readonly code: ErrorCode;
  /** Fix, with the command if there is one. */
  readonly hint: string;
  readonly #texts: ErrorTexts;

  /**
   * @param code stable name of the failure
   * @param message one sentence that states the problem
   * @param hint the fix, which starts with an imperative
   * @param options `cause`: the explained error
   */
  constructor(code: ErrorCode, message: Message, hint: Message, options?: { readonly cause?: unknown }) {
    scrubError(options?.cause);
    super(visible(scrub(english(message))), options);
    this.code = code;
    this.hint = visible(scrub(english(hint)));
    this.#texts = { message: withValues(message, scrub), hint: withValues(hint, scrub) };
  }

  /** Message and hint as data, without passwords, for another language or another process. */
  get texts(): ErrorTexts {
    return this.#texts;
  }

  /** Exit code of a command that fails with this error. */
  get exitCode(): number {
    return EXIT_BY_CODE[this.code];
  }
}

// Accepts errors of every copy of this package, because a project may import another one than the command that loads it, but not others of its name.
Object.defineProperty(BackfillError, Symbol.hasInstance, {
  value: (error: unknown): boolean =>
    error instanceof Error && error.name === 'BackfillError' && 'texts' in error && 'exitCode' in error,
});

/**
 * Converts any thrown value to a {@link BackfillError}.
 *
 * @param doing activity for the message, such as `while backing it up`
 * @returns the same error if it is a {@link BackfillError}, else one whose `cause` it is
 */
export function toBackfillError(error: unknown, doing?: Doing | Message): BackfillError {
  if (error instanceof BackfillError) return error;
  const full = (message: Message, code: string): Message =>
    doing === undefined
      ? msg('{message} ({code})', { message, code })
      : msg('{message} {doing} ({code})', {
          message,
          doing: typeof doing === 'string' ? msg(doing) : doing,
          code,
        });
  const explained = (code: ErrorCode, message: Message, hint: PlainText, from: string): BackfillError =>
    new BackfillError(code, full(message, from), msg(hint), { cause: error });
  if (isStoreError(error)) {
    const blocked = isSqliteError(error) ? blockedText(error.message) : undefined;
    if (blocked) return explained('SCHEMA_BLOCKED', blocked, BLOCKED_HINT, error.code);
    const [code, message, hint] = engineMeaning(error.code);
    return explained(code, msg(message), hint, error.code);
  }
  if (isAddonError(error)) return addonUnusable(error);
  const errno = errnoOf(error) ?? '';
  const system = SYSTEM_MEANINGS[errno];
  if (system) {
    const [code, message, hint] = system;
    return explained(code, withPath(message, error), hint, errno);
  }
  const kind = error instanceof Error ? error.name : typeof error;
  return new BackfillError(
    'INTERNAL',
    full(msg('An unexpected error occurred'), kind),
    msg('Run it again with --log-level debug, and report what it prints'),
    { cause: error },
  );
}

/** Activity during which an error occurred. */
type Doing = Extract<PlainText, `while ${string}` | 'in the thread of the backfills'>;

const BLOCKED_HINT =
  'Find the object that uses it with: sqlite3 STORE .schema; drop it, run the same command again, then recreate it';

/** Returns the message for a function or virtual table that SQLite rejects in the schema of a file. */
function blockedText(thrown: string): Message | undefined {
  const { object, used } = unsafeUse(thrown) ?? {};
  if (used === undefined) return undefined;
  return object === undefined
    ? msg('SQLite rejects {used} in the schema of a file, and a trigger or a view uses it', { used })
    : msg('SQLite rejects {used} in the schema of a file, and it is used by {objects}', {
        used,
        objects: object,
      });
}

/** Returns the message for an error of the system; for a missing permission, with user id and path if the error has them. */
function withPath(message: PlainText, error: unknown): Message {
  const path = error instanceof Error && 'path' in error ? error.path : undefined;
  const id = process.geteuid?.();
  if (typeof path !== 'string' || id === undefined) return msg(message);
  if (errnoOf(error) === 'EACCES') return msg('User id {id} has no access to {path}', { id, path });
  return errnoOf(error) === 'EPERM' ? msg('User id {id} may not change {path}', { id, path }) : msg(message);
}

/** Whether better-sqlite3's compiled addon cannot be loaded: it is for another Node, or was never compiled. */
const isAddonError = (error: unknown): error is Error =>
  error instanceof Error && (('code' in error && error.code === 'ERR_DLOPEN_FAILED') || 'tries' in error);

function addonUnusable(error: Error): BackfillError {
  const [, its] = /NODE_MODULE_VERSION (\d+)/.exec(error.message) ?? [];
  const { node, modules } = process.versions;
  return new BackfillError(
    'DRIVER_UNUSABLE',
    its === undefined
      ? msg('Node {node} cannot load better-sqlite3: it is not compiled for this version', { node })
      : msg('better-sqlite3 is compiled for another Node (NODE_MODULE_VERSION {its}) than {node} ({own})', {
          its,
          node,
          own: modules,
        }),
    msg('Recompile it: npm rebuild better-sqlite3; or run the Node that it was installed with'),
    { cause: error },
  );
}

/** Returns the error name of the operating system, such as ENOSPC, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && 'syscall' in error ? String(error.code) : undefined;
}

/** Returns the first error of this package or of a database in a chain of causes, such as inside umzug's MigrationError. */
export function rootBackfillError(error: unknown): BackfillError {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (at instanceof BackfillError || isStoreError(at)) return toBackfillError(at);
  }
  return toBackfillError(error);
}
