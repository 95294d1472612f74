import { createRequire } from 'node:module';
import type pino from 'pino';
import { LOG_LEVELS, type LogLevel } from '../command-options.js';
import type { Translate } from '../messages/lang.js';
import { msg } from '../messages/message.js';
import type { MigratorEvent } from '../migrate/options.js';
import type { Progress } from '../migrate/progress.js';
import { visible } from '../visible.js';
import type { OutputStream } from './cli.js';
import { logSentence } from './log-sentence.js';

/** Events of the log: those of the migrator, and its progress. */
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
const LEVEL_BY_EVENT: Readonly<Record<LoggedEvent['event'], 'debug' | 'info' | 'warn'>> = {
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

/** Events that the result of a command reports, too: a terminal, which shows both, has them at the level `debug` alone. */
const IN_RESULT: ReadonlySet<LoggedEvent['event']> = new Set([
  'step_finished',
  'values_left',
  'nothing_filled',
  'verified',
  'backup_created',
  'backup_removed',
  'store_copied',
]);

/** Options of {@link createEventLogger}. */
export interface LogOptions {
  readonly level: LogLevel;
  /** Receives the lines. */
  readonly stream: OutputStream;
  /** Renders the sentences for a terminal. */
  readonly translate: Translate;
  /** Fields that come before those of every event. Default: none. */
  readonly fields?: Readonly<Record<string, string>> | undefined;
  /** Called before each line on a terminal. Default: nothing. */
  readonly beforeLine?: () => void;
}

/**
 * Returns the log of events: a sentence for each on a terminal, elsewhere JSON lines. These have the event's own fields: names, numbers and keys,
 * never a value of the store.
 */
export function createEventLogger(options: LogOptions): (event: LoggedEvent) => void {
  return options.stream.isTTY ? sentenceLogger(options) : jsonLogger(options);
}

function jsonLogger({ level, stream, fields }: LogOptions): (event: LoggedEvent) => void {
  let logger: pino.Logger | undefined;
  return (event) => {
    if (level === 'silent') return;
    logger ??= makeLogger(level, stream);
    logger[LEVEL_BY_EVENT[event.event]]({ ...fields, ...event });
  };
}

/** pino is loaded with the first event, because a command that has nothing to do must not wait for it. */
function makeLogger(level: string, stream: OutputStream): pino.Logger {
  const makePino = createRequire(import.meta.url)('pino') as typeof pino;
  return makePino({ level, base: null, timestamp: makePino.stdTimeFunctions.isoTime }, stream);
}

function sentenceLogger({
  level,
  stream,
  translate,
  fields = {},
  beforeLine,
}: LogOptions): (event: LoggedEvent) => void {
  return (event) => {
    if (!isEnabled(level, IN_RESULT.has(event.event) ? 'debug' : LEVEL_BY_EVENT[event.event])) return;
    const sentence = logSentence(event);
    const text = translate(
      LEVEL_BY_EVENT[event.event] === 'warn' ? msg('warning: {text}.', { text: sentence }) : sentence,
    );
    beforeLine?.();
    const time = new Date().toTimeString().slice(0, 8);
    stream.write(`${time}  ${visible([...Object.values(fields), text].join(': '))}\n`);
  };
}

/** Whether a level includes `info`. */
export const isInfoLogged = (level: LogLevel): boolean => isEnabled(level, 'info');

const isEnabled = (level: LogLevel, of: 'debug' | 'info' | 'warn'): boolean =>
  LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(of);
