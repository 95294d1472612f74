import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_BATCH_ROWS, DEFAULT_TARGET_BATCH_MS, DEFAULT_WAL_LIMIT_MIB } from '../engine/run-options.js';
import { LANGS, type Lang } from '../messages/lang.js';

/** Levels of the log, most talkative first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Options of how results are told, of every command. */
export interface OutputOptions {
  readonly dbPath?: string;
  readonly backupDir?: string;
  readonly json?: boolean;
  readonly lang?: Lang;
  readonly trustConfig?: boolean;
}

/** Options of every command that is about a store. */
export interface CommonOptions extends OutputOptions {
  readonly databaseUrl?: string;
  readonly postgres?: boolean;
  readonly workers?: number;
  readonly concurrency?: number;
  readonly batchSize?: number;
  readonly dryRun?: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly showValues?: boolean;
  readonly strict?: boolean;
  readonly yes?: boolean;
  // Of commands that change the store:
  readonly lockTimeout?: number;
  readonly backup?: boolean;
  readonly checkBackup?: 'quick' | 'full';
  readonly keepBackups?: number;
  readonly allowTriggers?: boolean;
  readonly targetBatchMs?: number;
  readonly pace?: 'courteous' | 'full';
  readonly walLimit?: number;
  readonly metricsFile?: string;
}

/** The value of an option, read from the arguments without commander, which may be what failed. */
export function given(argv: readonly string[], option: string): string | undefined {
  const at = argv.indexOf(option);
  return at >= 0
    ? argv[at + 1]
    : argv.find((word) => word.startsWith(`${option}=`))?.slice(option.length + 1);
}

/** Reads a whole number of 1 or more. */
export function positiveInteger(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected a positive integer.');
}

/** Reads a number of seconds, 0 or more. */
export function seconds(text: string): number {
  if (/^\d+(?:\.\d+)?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a number of seconds.');
}

/** Reads a number from 0 to 100. */
export function percentage(text: string): number {
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 0 && value <= 100) return value;
  throw new InvalidArgumentError('Expected a number from 0 to 100.');
}

/** Adds the options of how results are told. */
export function withOutputOptions(command: Command): Command {
  return command
    .option('--json', 'print the result as one JSON document (default: off)')
    .addOption(
      new Option('--lang <language>', 'language of results and errors (default: that of the locale)').choices(
        LANGS,
      ),
    );
}

/** Adds the option of every command that loads a config file or steps. */
export const withConfigOptions = (command: Command): Command =>
  command.option(
    '--trust-config',
    'let root run a config and steps that others own or may write (default: refuse it)',
  );

/** Adds the options of every command that is about a store. */
export function withCommonOptions(command: Command): Command {
  command
    .option(
      '--db-path <path>',
      'the store (default: the environment variable or the path that the config names); again, or a pattern: several',
    )
    .option('--database-url <url>', 'a database of PostgreSQL as the store (default: what the config names)')
    .option('--postgres', 'take the URL of that database from DATABASE_URL (default: off)')
    .option(
      '--concurrency <processes>',
      'processes that work on several stores at once (default: one a core)',
      positiveInteger,
    )
    .option(
      '--batch-size <rows>',
      `rows of a batch at most (default: ${DEFAULT_BATCH_ROWS})`,
      positiveInteger,
    )
    .option('--dry-run', 'say what would happen, write nothing (default: off)')
    .addOption(
      new Option('--log-level <level>', 'what is logged to stderr').choices(LOG_LEVELS).default('info'),
    )
    .option(
      '--show-values',
      "show messages of a project's and the database's errors, which may quote rows; at a terminal alone (default: off)",
    )
    .option('--strict', 'refuse steps that have changed since they were applied (default: warn)')
    .option(
      '--yes',
      'agree to what would lose values, lock for long, or trust other roles of a server (default: refuse it)',
    );
  return withOutputOptions(withConfigOptions(command));
}

/** Reads a version, as 3.35 or 3.35.0. */
export function version(text: string): string {
  if (/^\d+\.\d+(?:\.\d+)*$/.test(text)) return text;
  throw new InvalidArgumentError('Expected a version.');
}

/** What differs from command to command. */
export interface ChangeDefaults {
  /** How long another run is waited for, in seconds. */
  readonly lockTimeoutSeconds?: number;
}

/** Adds the options of every command that changes the store. */
export function withChangeOptions(
  command: Command,
  { lockTimeoutSeconds = 60 }: ChangeDefaults = {},
): Command {
  return withCommonOptions(command)
    .option(
      '--lock-timeout <seconds>',
      `how long to wait for another run; 0: not at all (default: ${lockTimeoutSeconds})`,
      seconds,
    )
    .option('--backup-dir <folder>', "where backups are (default: the store's folder)")
    .addOption(
      new Option(
        '--check-backup <depth>',
        'how a backup is looked at for damage: every page, or each index too (default: quick)',
      ).choices(['quick', 'full']),
    )
    .option('--metrics-file <path>', 'write what was done there, as Prometheus text (default: nowhere)');
}

/** Adds the options of commands that make a backup first. */
function withBackupOptions(command: Command, defaults?: ChangeDefaults): Command {
  return withChangeOptions(command, defaults)
    .option('--no-backup', 'change the store without a backup (default: of a file, one is made first)')
    .option(
      '--keep-backups <count>',
      'backups that are kept once a run is verified (default: 3)',
      positiveInteger,
    );
}

/** Adds the options of commands that update rows. */
export function withUpdateOptions(command: Command, defaults?: ChangeDefaults): Command {
  return withBackupOptions(command, defaults)
    .option(
      '--workers <count>',
      'sessions that fill one database of PostgreSQL together; no gain where `process` takes the time (default: 1)',
      positiveInteger,
    )
    .option('--allow-triggers', 'let updates fire the triggers of the table (default: refuse it)')
    .addOption(
      new Option('--pace <name>', 'whether to pause for other writers (default: courteous)').choices([
        'courteous',
        'full',
      ]),
    )
    .option(
      '--target-batch-ms <ms>',
      `how long a batch should take (default: ${DEFAULT_TARGET_BATCH_MS} for a file, 200 for a server)`,
      positiveInteger,
    )
    .option(
      '--wal-limit <MiB>',
      `size of the WAL at which to wait for the reader that pins it (default: ${DEFAULT_WAL_LIMIT_MIB})`,
      positiveInteger,
    );
}
