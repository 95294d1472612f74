import type { AbortSignalLike } from './abort.js';
import { msg } from './messages/message.js';
import type { MigratorEvent } from './migrate/options.js';
import {
  BOOLEAN,
  FOLDER,
  FUNCTION,
  type Help,
  NOT_NEGATIVE,
  object,
  oneOf,
  POSITIVE,
  type RowsOf,
} from './options.js';

// Options of a run, for the API and the command line, in the same units. Checks, flags, `--help` and the tables of docs/cli.md come from
// these rows and from those of command-options.ts. The compiler holds the types and the rows together.

/** Options of a backup. */
export interface BackupOptions {
  /** Folder of the backups. Default: the store's folder. */
  readonly folder?: string | undefined;
  /** Depth of the damage check: `quick` reads every page, `full` also checks each index. Default `quick`. */
  readonly check?: 'quick' | 'full' | undefined;
  /** Number of backups that are kept after a verified run. Default 3. */
  readonly keep?: number | undefined;
}

/** Options of a run. */
export interface RunSettings {
  /** Maximum rows per batch. Default 5,000; on a server, unless they pass through `process`, 50,000. */
  readonly batchRows?: number | undefined;
  /** Target duration of a batch, which holds locks for that time, in milliseconds. Default 40 for a file, 200 for a server. */
  readonly targetBatchMs?: number | undefined;
  /** Whether to pause for other writers. Default `courteous`. */
  readonly pace?: 'courteous' | 'full' | undefined;
  /** Sessions of this process that fill one PostgreSQL database together. Default 1. */
  readonly workers?: number | undefined;
  /** Size of the WAL, in bytes, at which a run waits for the reader that pins it. Default 256 MiB. */
  readonly walLimitBytes?: number | undefined;
  /** Maximum wait for that reader, in milliseconds, before the run stops with `WAL_PINNED`. Default 60,000. */
  readonly walWaitMs?: number | undefined;
  /** Minimum size of a store, or of a PostgreSQL table, in bytes, for work on a second thread. Default 64 MiB. */
  readonly parallelMinBytes?: number | undefined;
  /** Backup of the store before a change; `false`: none. */
  readonly backup?: BackupOptions | false | undefined;
  /** Maximum wait for another command, in milliseconds; 0: do not wait. Default 60,000. */
  readonly lockTimeoutMs?: number | undefined;
  /** Whether updates may fire the table's triggers. Default false: such updates are refused. */
  readonly allowTriggers?: boolean | undefined;
  /** Whether the user has agreed to what the command line asks `--yes` for. Default false. */
  readonly confirmed?: boolean | undefined;
  /** Whether steps that changed since they were applied are refused. Default false: a warning. */
  readonly strict?: boolean | undefined;
  /**
   * Stops a run after a batch, a verification after a page of rows (on a file: in WAL mode), a wait for another run, and on
   * PostgreSQL any wait. Its `reason` is the name of a signal, such as `SIGTERM`. Default: none.
   */
  readonly signal?: AbortSignalLike | undefined;
  /** Called with each event. Default: none. */
  readonly onEvent?: ((event: MigratorEvent) => void) | undefined;
}

/** Commands that fill or revert. */
export const FILLING = ['up', 'deploy', 'down', 'backfill'] as const;

/** Commands that change a store. */
export const CHANGING = [...FILLING, 'restore'] as const;

/** Commands that need a store. */
export const ON_STORE = [...CHANGING, 'status', 'pending', 'executed', 'verify', 'report', 'skips'] as const;

/** Commands that load a config. */
export const ON_CONFIG = [...ON_STORE, 'lint', 'create'] as const;

/** All commands. */
export const ALL = [...ON_CONFIG, 'init'] as const;

/** The name of a command. */
export type CommandName = (typeof ALL)[number];

/** Returns the same help for several commands. */
export const each = (commands: readonly CommandName[], help: string): Help =>
  Object.fromEntries(commands.map((command) => [command, help]));

/** Rows of {@link BackupOptions}. */
export const BACKUP_OPTIONS = {
  folder: {
    kind: FOLDER,
    flag: '--backup-dir <folder>',
    help: each(CHANGING, 'where backups are written'),
    usual: "the store's folder",
    only: 'file',
  },
  check: {
    kind: oneOf('quick', 'full'),
    default: 'quick',
    flag: '--check-backup <depth>',
    help: each(CHANGING, 'depth of the damage check of a backup: every page, or each index too'),
    only: 'file',
  },
  keep: {
    kind: POSITIVE,
    default: 3,
    flag: '--keep-backups <count>',
    help: each(FILLING, 'number of backups kept after a verified run'),
    only: 'file',
  },
} as const satisfies RowsOf<BackupOptions>;

const isBackup = (value: unknown): value is BackupOptions | false =>
  value === false || (typeof value === 'object' && value !== null);

const isSignal = (value: unknown): value is AbortSignalLike =>
  typeof value === 'object' && value !== null && 'aborted' in value && typeof value.aborted === 'boolean';

/** Default time that a deploy waits for another command, which may be a long backfill, in milliseconds. */
export const DEPLOY_LOCK_TIMEOUT_MS = 600_000;

/** Rows of {@link RunSettings}. */
export const RUN_OPTIONS = {
  batchRows: {
    kind: POSITIVE,
    default: 5000, // 1,000 to 10,000 measured equally fast
    flag: '--batch-size <rows>',
    help: each(ON_STORE, 'maximum rows per batch'),
    usual: '5000; on a server, unless they pass through `process`, 50000',
  },
  targetBatchMs: {
    kind: POSITIVE,
    default: 40,
    flag: '--target-batch-ms <ms>',
    help: each(FILLING, 'target duration of a batch'),
    usual: '40 for a file, 200 for one in rollback mode or a server',
  },
  pace: {
    kind: oneOf('courteous', 'full'),
    default: 'courteous',
    flag: '--pace <name>',
    help: each(FILLING, 'whether to throttle the run for other writers'),
  },
  workers: {
    kind: POSITIVE,
    default: 1,
    flag: '--workers <count>',
    help: each(
      FILLING,
      'sessions that fill one PostgreSQL database together; no gain where `process` takes the time',
    ),
    only: 'server',
    isSingle: true,
  },
  walLimitBytes: {
    kind: POSITIVE,
    default: 256 * 2 ** 20,
    flag: '--wal-limit <MiB>',
    unit: 2 ** 20,
    help: each(FILLING, 'size of the WAL at which to wait for the reader that pins it'),
    only: 'file',
  },
  walWaitMs: { kind: NOT_NEGATIVE, default: 60_000 },
  parallelMinBytes: { kind: NOT_NEGATIVE, default: 64 * 2 ** 20 }, // a thread starts in the time that verifies about 15 MiB
  backup: {
    kind: object(msg('false or an object'), isBackup, BACKUP_OPTIONS),
    flag: '--no-backup',
    help: each(FILLING, 'change the store without a backup'),
    usual: 'a backup of a file',
  },
  lockTimeoutMs: {
    kind: NOT_NEGATIVE,
    default: 60_000,
    flag: '--lock-timeout <seconds>',
    unit: 1000,
    help: each(CHANGING, 'maximum wait for another run; 0: none'),
    usual: { deploy: `${DEPLOY_LOCK_TIMEOUT_MS / 1000}` },
  },
  allowTriggers: {
    kind: BOOLEAN,
    flag: '--allow-triggers',
    help: each(FILLING, 'let updates fire the triggers of the table'),
    usual: 'refuse it',
  },
  confirmed: {
    kind: BOOLEAN,
    flag: '--yes',
    help: each(ON_STORE, 'agree to lose values, to lock for long, or to trust other roles of a server'),
    usual: 'refuse it',
  },
  strict: {
    kind: BOOLEAN,
    flag: '--strict',
    help: each(ON_STORE, 'refuse steps that changed since they were applied'),
    usual: 'warn',
  },
  signal: { kind: object(msg('an AbortSignal'), isSignal) },
  onEvent: { kind: FUNCTION },
} as const satisfies RowsOf<RunSettings>;
