import { createRequire } from 'node:module';
import type pino from 'pino';
import { LOG_LEVELS, type LogLevel } from '../command-options.js';
import type { MigratorEvent } from '../migrate/options.js';
import type { Progress } from '../migrate/progress.js';
import type { OutputStream } from './cli.js';

/** What the log tells of: what the migrator does, and how far it is. */
export type LoggedEvent =
  | MigratorEvent
  | ({ readonly event: 'progress' } & Progress)
  /** One of many stores is done. */
  | {
      readonly event: 'store_finished';
      readonly store: string;
      readonly exitCode: number;
      readonly durationMs: number;
    }
  /** Root was given up for the owner of the store. */
  | { readonly event: 'user_changed'; readonly uid: number; readonly gid: number; readonly store: string }
  /** How many of them are. */
  | { readonly event: 'fleet_progress'; readonly done: number; readonly stores: number };

/** The level of each event. */
export const LEVEL_BY_EVENT: Readonly<Record<LoggedEvent['event'], 'debug' | 'info' | 'warn'>> = {
  user_changed: 'info',
  step_started: 'info',
  step_finished: 'info',
  run_started: 'info',
  batches_started: 'debug',
  values_left: 'info',
  nothing_filled: 'warn',
  batch_committed: 'debug',
  batch_reverted: 'debug',
  batches_finished: 'debug',
  throttled: 'debug',
  progress: 'info',
  store_finished: 'debug',
  fleet_progress: 'info',
  verified: 'info',
  lock_estimated: 'info',
  lock_waiting: 'info',
  range_waiting: 'warn',
  backup_created: 'info',
  backup_removed: 'info',
  store_copied: 'info',
  row_skipped: 'debug',
  row_rejected: 'warn',
  store_busy: 'warn',
  wal_pinned: 'warn',
  warning: 'warn',
  background_failed: 'warn',
};

/**
 * Makes the log of events: JSON lines, or readable ones on a terminal. pino is loaded with the
 * first event, since a command that has nothing to do should not wait for it.
 *
 * @param stream where the lines go
 * @param fields put before those of every event
 *
 * The fields are the event's own: names, numbers and keys, never a value of the store.
 */
export function createEventLogger(
  level: LogLevel,
  stream: OutputStream,
  fields: Readonly<Record<string, string>> = {},
): (event: LoggedEvent) => void {
  let logger: pino.Logger | undefined;
  return (event) => {
    if (level === 'silent') return;
    logger ??= makeLogger(level, stream);
    logger[LEVEL_BY_EVENT[event.event]]({ ...fields, ...event });
  };
}

/** Whether a level lets what is worth knowing through. */
export const isInfoLogged = (level: LogLevel): boolean => isEnabled(level, 'info');

/** Whether a level lets an event through. */
export const isLogged = (level: LogLevel, { event }: LoggedEvent): boolean =>
  isEnabled(level, LEVEL_BY_EVENT[event]);

const isEnabled = (level: LogLevel, of: 'debug' | 'info' | 'warn'): boolean =>
  LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(of);

function makeLogger(level: string, stream: OutputStream): pino.Logger {
  const require = createRequire(import.meta.url);
  const makePino = require('pino') as typeof pino;
  const lines = stream.isTTY
    ? (require('pino-pretty') as (options: object) => pino.DestinationStream)({
        destination: stream,
        ignore: 'pid,hostname',
        messageKey: 'event',
        singleLine: true,
      })
    : stream;
  return makePino({ level, base: null, timestamp: makePino.stdTimeFunctions.isoTime }, lines);
}
