import { createRequire } from 'node:module';
import type pino from 'pino';
import { LOG_LEVELS, type LogLevel } from '../command-options.js';
import { bytes, count, duration } from '../format.js';
import type { Translate } from '../messages/lang.js';
import {
  type Message,
  type MessageText,
  type MessageValue,
  msg,
  type PlaceholderOf,
} from '../messages/message.js';
import type { MigratorEvent } from '../migrate/options.js';
import type { Progress } from '../migrate/progress.js';
import { visible } from '../visible.js';
import type { OutputStream } from './cli.js';

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

/** A log of events. */
export type Log = (event: LoggedEvent) => void;

interface LogOptions {
  readonly level: LogLevel;
  readonly stream: OutputStream;
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
export function createEventLogger(options: LogOptions): Log {
  return options.stream.isTTY ? sentenceLogger(options) : jsonLogger(options);
}

function jsonLogger({ level, stream, fields }: LogOptions): Log {
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

function sentenceLogger({ level, stream, translate, fields = {}, beforeLine }: LogOptions): Log {
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

type EventOf<Name, Event = LoggedEvent> = Event extends { readonly event: infer Names }
  ? Name extends Names
    ? Event
    : never
  : never;

/** A text whose placeholders are fields of the event. */
type TextFor<Event> = {
  [Text in MessageText]: [PlaceholderOf<Text>] extends [keyof Event] ? Text : never;
}[MessageText];

/** Events that carry their text. */
type TextEvent = 'warning' | 'background_failed';

/** The sentence of each event on a terminal. Its placeholders are fields of the event. */
const SENTENCES: {
  readonly [Name in Exclude<LoggedEvent['event'], TextEvent>]:
    | TextFor<EventOf<Name>>
    | ((event: EventOf<Name>) => TextFor<EventOf<Name>>);
} = {
  step_started: ({ direction }) => (direction === 'up' ? 'applying {step}' : 'reverting {step}'),
  step_finished: ({ direction }) => (direction === 'up' ? 'applied {step}' : 'reverted {step}'),
  run_started: ({ isResumed, cursor }) =>
    isResumed && cursor !== null
      ? '{backfill}: {kind} run resumes after key {cursor}'
      : '{backfill}: {kind} run starts',
  values_left: '{backfill}: {rows} rows already have a value and are left unchanged: {cells}',
  nothing_filled: '{backfill}: none of {cells} cells filled; skipped: {skips}',
  batches_started: '{backfill}: batches start',
  batches_finished: '{backfill}: batches finished',
  batch_committed:
    'batch {batch} of {backfill}: {rowsScanned} rows, {cellsFilled} cells filled, {cellsSkipped} skipped, up to key {lastKey}, {durationMs}',
  batch_reverted: 'batch {batch} of {backfill}: {reverted} cells reverted, {kept} kept',
  row_skipped: ({ target }) =>
    target === '*'
      ? '{backfill}: row {key} skipped: {reason}'
      : '{backfill}: {target} of row {key} skipped: {reason}',
  row_rejected: '{backfill}: the update of row {key} was rejected: {reason}',
  throttled: '{backfill}: pause of {pauseMs} for other clients',
  store_busy: '{backfill}: the store is busy; next attempt in {pauseMs}',
  wal_pinned: '{backfill}: a reader keeps the WAL at {walBytes}; waiting for it',
  progress: ({ direction, etaSeconds }) =>
    direction === 'down'
      ? '{backfill}: {percent}%, {rows} cells reverted'
      : etaSeconds === undefined
        ? '{backfill}: {percent}%, {rows} rows, {rowsPerSecond} rows/s, {skippedCells} skipped'
        : '{backfill}: {percent}%, {rows} rows, {rowsPerSecond} rows/s, {skippedCells} skipped, {etaSeconds} left',
  verified: 'verification of {backfill}: {verdict}, {durationMs}',
  lock_estimated: '{step}: write lock for about {lockMs}, {diskBytes} of disk needed',
  lock_waiting: ({ pid, since }) =>
    pid === undefined
      ? 'waiting for another run'
      : since === undefined
        ? 'waiting for process {pid} on {host}'
        : 'waiting for process {pid} on {host}, which started at {since}',
  range_waiting: ({ pid, since }) =>
    pid === undefined
      ? '{backfill}: waiting for other workers'
      : since === undefined
        ? '{backfill}: waiting for process {pid} on {host}'
        : '{backfill}: waiting for process {pid} on {host}, which started at {since}',
  backup_created: 'backup: {path} ({bytes})',
  backup_removed: 'Removed an old backup: {path}',
  store_copied: 'the store as it was: {path}',
  user_changed: 'running as user id {uid}, the owner of {store}',
  store_finished: '{store}: exit code {exitCode}, {durationMs}',
  fleet_progress: '{done} of {stores} stores finished',
};

/** Formats of numbers by the name of their field. Other numbers are not formatted. */
const FORMATS: readonly (readonly [name: RegExp, format: (value: number) => string])[] = [
  [/Ms$/, duration],
  [/Seconds$/, (seconds) => duration(seconds * 1000)],
  [/bytes$/i, bytes],
  [/^(?:rows|cells|skipped|reverted|kept|done|stores)/, count],
];

function shownField(name: string, value: unknown): MessageValue {
  if (typeof value === 'number') return (FORMATS.find(([names]) => names.test(name))?.[1] ?? String)(value);
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).map(([key, number]) => `${count(Number(number))} ${key}`);
  if (name === 'kind' || name === 'verdict') return { text: String(value), values: {} };
  return String(value);
}

/** Returns the sentence of an event. Its values are the event's own: names, numbers and keys, never a value of the store. */
function logSentence(event: LoggedEvent): Message {
  if (event.event === 'warning') return event.texts?.text ?? msg('{text}', { text: event.text });
  if (event.event === 'background_failed') return msg('{text}', { text: event.message });
  const sentence = SENTENCES[event.event] as MessageText | ((of: LoggedEvent) => MessageText);
  const text = typeof sentence === 'function' ? sentence(event) : sentence;
  const values = Object.entries(event).map(([name, value]) => [name, shownField(name, value)] as const);
  return { text, values: Object.fromEntries(values) } satisfies Message;
}
