import type { AbortSignalLike } from '../abort.js';
import type { PaceOptions } from '../engine/run-options.js';
import { BackfillError, type ErrorCode } from '../errors.js';
import { msg } from '../messages/message.js';
import type { BackupOptions, MigratorEvent } from '../migrator/session.js';
import { refuseUnknownOptions } from '../options.js';

/** How runs go, beside their pace. */
export interface RunSettings extends PaceOptions {
  /** How to back the store up before it is changed; `false`: not at all. */
  readonly backup?: BackupOptions | false | undefined;
  /** How long to wait for another run, in milliseconds; 0: not at all. Default 60,000. */
  readonly lockTimeoutMs?: number | undefined;
  /** Whether updates may fire the table's triggers. Default false: they are refused. */
  readonly allowTriggers?: boolean | undefined;
  /** Whether a person has agreed to what the command line asks `--yes` for. Default false. */
  readonly confirmed?: boolean | undefined;
  /** Whether steps that have changed since they were applied are refused. Default false: a warning. */
  readonly strict?: boolean | undefined;
  /** Stops a run between two batches, a verification between two pages of rows (of a file: in WAL mode), a wait for another run, and on PostgreSQL any wait; its `reason` is the name of a signal, as `SIGTERM`. Default: nothing does. */
  readonly signal?: AbortSignalLike | undefined;
  /** Told what happens. Default: nobody is. */
  readonly onEvent?: ((event: MigratorEvent) => void) | undefined;
}

const POSITIVE = ['batchRows', 'targetBatchMs', 'workers', 'walLimitBytes'] as const;
const NOT_NEGATIVE = ['walWaitMs', 'parallelMinBytes', 'lockTimeoutMs'] as const;
const BOOLEAN = ['allowTriggers', 'confirmed', 'strict'] as const;

/** Names of all settings of a run. */
export const RUN_SETTINGS: readonly string[] = [
  ...POSITIVE,
  ...NOT_NEGATIVE,
  ...BOOLEAN,
  'pace',
  'backup',
  'signal',
  'onEvent',
];

/**
 * Refuses settings of the wrong kind. Unknown ones are for the caller to refuse, among its own.
 *
 * @param what the call that they were given to, as `createMigrator()`
 * @throws {BackfillError} with `code`, naming the setting
 */
export function checkRunSettings(settings: RunSettings, what: string, code: ErrorCode): void {
  const insist = (name: string, value: unknown, isRight: boolean, expected: string): void => {
    if (value === undefined || isRight) return;
    throw new BackfillError(
      code,
      msg('Expected `{option}` in {what} to be {expected}, got `{value}`', {
        option: name,
        what,
        expected,
        value: String(value),
      }),
      msg('Set `{option}` in {what}, or leave it out for its default', { option: name, what }),
    );
  };
  const isPositive = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) > 0;
  for (const name of POSITIVE) {
    insist(name, settings[name], isPositive(settings[name]), 'a positive integer');
  }
  for (const name of NOT_NEGATIVE) {
    const value: unknown = settings[name];
    insist(name, value, typeof value === 'number' && value >= 0, 'a number, 0 or more');
  }
  for (const name of BOOLEAN) {
    insist(name, settings[name], typeof settings[name] === 'boolean', 'true or false');
  }
  const { pace, backup, signal, onEvent } = settings;
  insist('pace', pace, pace === 'courteous' || pace === 'full', 'courteous or full');
  insist(
    'signal',
    signal,
    typeof signal === 'object' && signal !== null && typeof signal.aborted === 'boolean',
    'an AbortSignal',
  );
  insist('onEvent', onEvent, typeof onEvent === 'function', 'a function');
  if (backup === undefined || backup === false) return;
  insist('backup', backup, typeof backup === 'object' && backup !== null, 'false or an object');
  refuseUnknownOptions(backup, ['folder', 'check', 'keep'], `\`backup\` of ${what}`, code);
  const { folder, check, keep } = backup;
  insist('backup.folder', folder, typeof folder === 'string' && folder !== '', 'a folder');
  insist('backup.check', check, check === 'quick' || check === 'full', 'quick or full');
  insist('backup.keep', keep, isPositive(keep), 'a positive integer');
}
