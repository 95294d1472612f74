import type { StoreAddress } from '../address.js';
import { refuseWorkers } from '../engine/run-options.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { BackupOptions, MigratorOptions } from '../migrator/session.js';
import type { TrustsCode } from '../steps/load.js';
import type { CommonOptions } from './options.js';

/** What a program brings with it that embeds the command line, instead of a config file. */
export interface Embedding {
  /** Loads its project, with the options of runs that count where the arguments say nothing. */
  readonly loadMigrator: (trust: TrustsCode) => Promise<MigratorOptions>;
  /** How that program is called, as `node migrate.js`: for help and hints. */
  readonly program: string;
}

/** A project, and options of runs that count where the arguments say nothing. */
export type MigratorDefaults = Pick<MigratorOptions, 'project'> & Partial<MigratorOptions>;

/** What the arguments of a command ask of a migrator; events and signals are the caller's to add. */
export function migratorOptions(
  options: CommonOptions,
  address: StoreAddress,
  defaults: MigratorDefaults,
): MigratorOptions {
  return {
    ...defaults,
    ...address,
    batchRows: options.batchSize ?? defaults.batchRows,
    targetBatchMs: options.targetBatchMs ?? defaults.targetBatchMs,
    pace: options.pace ?? defaults.pace,
    workers: options.workers ?? defaults.workers,
    walLimitBytes: options.walLimit === undefined ? defaults.walLimitBytes : options.walLimit * 2 ** 20,
    confirmed: options.yes ?? defaults.confirmed,
    showValues: options.showValues,
    strict: options.strict ?? defaults.strict,
    backup: backupOptions(options, defaults.backup),
    lockTimeoutMs: options.lockTimeout === undefined ? defaults.lockTimeoutMs : options.lockTimeout * 1000,
    allowTriggers: options.allowTriggers ?? defaults.allowTriggers,
  };
}

/** Without a backup where the arguments or else the defaults say so; an argument about backups asks for one. */
function backupOptions(
  { backup, backupDir, checkBackup, keepBackups }: CommonOptions,
  defaults: BackupOptions | false | undefined,
): BackupOptions | false | undefined {
  if (backup === false) return false;
  if ((backupDir ?? checkBackup ?? keepBackups) === undefined) return defaults;
  const { folder, check, keep } = defaults || {};
  return { folder: backupDir ?? folder, check: checkBackup ?? check, keep: keepBackups ?? keep };
}

/** Options that are about a file, by their name in `CommonOptions`. */
const FILE_OPTIONS = {
  backupDir: '--backup-dir',
  checkBackup: '--check-backup',
  keepBackups: '--keep-backups',
  walLimit: '--wal-limit',
} as const;

/** Refuses, for a database of a server, what is about a file, and the other way round. */
export function refuseOtherOptions(options: CommonOptions, { postgres }: StoreAddress): void {
  refuseWorkers(options.workers, postgres !== undefined, '--workers');
  if (!postgres) return;
  for (const [name, option] of Object.entries(FILE_OPTIONS)) {
    if (options[name as keyof typeof FILE_OPTIONS] === undefined) continue;
    throw new BackfillError(
      'USAGE',
      msg('{option} is for a store that is a file', { option }),
      msg('Leave it out: a database of a server is backed up and kept by its own means'),
    );
  }
}
