import { bytes, count, duration } from '../format.js';
import type { Message, MessageText, MessageValue, PlaceholderOf } from '../messages/message.js';
import { msg } from '../messages/message.js';
import type { LoggedEvent } from './log.js';

/** The event of a name. */
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
export function logSentence(event: LoggedEvent): Message {
  if (event.event === 'warning') return event.texts?.text ?? msg('{text}', { text: event.text });
  if (event.event === 'background_failed') return msg('{text}', { text: event.message });
  const sentence = SENTENCES[event.event] as MessageText | ((of: LoggedEvent) => MessageText);
  const text = typeof sentence === 'function' ? sentence(event) : sentence;
  const values = Object.entries(event).map(([name, value]) => [name, shownField(name, value)] as const);
  return { text, values: Object.fromEntries(values) } satisfies Message;
}
