import type { zh } from './zh.js';

/** The name of a placeholder of the catalogue, without the mark of its kind. */
type Unmarked<Name extends string> = Name extends `${'#' | '~' | '*'}${infer Rest}` ? Rest : Name;

/** An English text of the catalogue, as the sources write it. */
type Plain<Text extends string> = Text extends `${infer Head}{${infer Name}}${infer Rest}`
  ? `${Head}{${Unmarked<Name>}}${Plain<Rest>}`
  : Text;

/** Every English text that a person may read. One without its Chinese is not of this type, so that it does not compile. */
export type MessageText = Plain<keyof typeof zh>;

/** The names in braces in a text; braces around code, as in `defineBackfill({ … })`, hold spaces. */
export type PlaceholderOf<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends '' | `${string}${' ' | '{'}${string}` ? never : Name) | PlaceholderOf<Rest>
  : never;

/** Those of the texts that hold no value. */
export type PlainText = {
  [Text in MessageText]: [PlaceholderOf<Text>] extends [never] ? Text : never;
}[MessageText];

/** A value in a message: shown as it is, translated, or a list. */
export type MessageValue = Scalar | Message | readonly (string | Message)[];

/** A value that is shown as a template literal shows it. */
type Scalar = string | number | bigint | null | undefined;

/** A sentence or a phrase as data: plain, so that threads and processes can pass it on. */
export interface Message {
  /** The English text, with a placeholder such as `{table}` for each value. */
  readonly text: MessageText;
  readonly values: Readonly<Record<string, MessageValue>>;
}

/** What a text is rendered with: a value for each placeholder, or nothing. */
export type ValuesOf<Text extends string> = [PlaceholderOf<Text>] extends [never]
  ? []
  : [values: Readonly<Record<PlaceholderOf<Text>, MessageValue>>];

/**
 * Returns a message.
 *
 * @param text one of the catalogue's English texts
 * @param values one for each placeholder
 */
export function msg<Text extends MessageText>(text: Text, ...[values]: ValuesOf<Text>): Message {
  return { text, values: values ?? {} };
}

/** Whether a value is a message. */
export const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && 'text' in value && 'values' in value;

/** A message, or a text in English that has no translation yet. */
export type Told = Message | string;

/** Renders messages in one language. */
export type Translate = (message: Told) => string;

/** Renders messages in English. */
export const english: Translate = (message) =>
  typeof message === 'string' ? message : fillIn(message.text, message.values, english, ', ');

/**
 * Puts values into a text.
 *
 * @param translate renders the values that are messages
 * @param comma what separates the items of a list
 */
export const fillIn = (
  text: string,
  values: Message['values'],
  translate: Translate,
  comma: string,
): string =>
  text.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
    const value = values[name];
    if (!Object.hasOwn(values, name)) return placeholder;
    return isList(value) ? value.map((item) => shown(item, translate)).join(comma) : shown(value, translate);
  });

const shown = (value: Scalar | Message, translate: Translate): string =>
  typeof value === 'object' && value !== null ? translate(value) : String(value);

/** Returns a message in which each value that is a text has passed through `change`. */
export function withValues<Text extends Told>(message: Text, change: (text: string) => string): Text {
  if (typeof message === 'string') return change(message) as Text;
  const changed = (value: MessageValue): MessageValue => {
    if (typeof value === 'string') return change(value);
    if (typeof value !== 'object' || value === null) return value;
    return isList(value) ? value.map((item) => withValues(item, change)) : withValues(value, change);
  };
  const values = Object.entries(message.values).map(([name, value]) => [name, changed(value)] as const);
  return { ...(message as Message), values: Object.fromEntries(values) } as Text;
}

const isList = (value: MessageValue): value is readonly (string | Message)[] => Array.isArray(value);
