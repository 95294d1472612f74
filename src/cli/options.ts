import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_BATCH_ROWS } from '../backfill/runner.js';

/** Levels of the log, most talkative first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Options of every command. */
export interface CommonOptions {
  readonly dbPath?: string;
  readonly batchSize?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly strict?: boolean;
  readonly yes?: boolean;
}

/** Reads a whole number of 1 or more. */
export function positiveInteger(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected a positive integer.');
}

/** Reads a number from 0 to 100. */
export function percentage(text: string): number {
  const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 0 && value <= 100) return value;
  throw new InvalidArgumentError('Expected a number from 0 to 100.');
}

/** Adds the options of every command. */
export function withCommonOptions(command: Command): Command {
  return command
    .option(
      '--db-path <path>',
      'the store (default: the environment variable or the path that the config names)',
    )
    .option(
      '--batch-size <rows>',
      `rows of a batch at most (default: ${DEFAULT_BATCH_ROWS})`,
      positiveInteger,
    )
    .option('--dry-run', 'say what would happen, write nothing (default: off)')
    .option('--json', 'print the result as one JSON document (default: off)')
    .addOption(
      new Option('--log-level <level>', 'what is logged to stderr').choices(LOG_LEVELS).default('info'),
    )
    .option('--strict', 'refuse steps that have changed since they were applied (default: warn)')
    .option('--yes', 'agree to what would lose values or lock for long (default: refuse it)');
}
