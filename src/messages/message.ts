import type { zh } from './zh.js';

/** Every English text for users. A text without its Chinese is not of this type, so it does not compile. */
export type MessageText = keyof typeof zh;

/** Texts in a language by the English ones, with the same placeholders in any order. */
export type Catalogue = Readonly<Record<string, string>>;

/** The names in braces in a text. Braces of code, such as `defineBackfill({ … })`, contain spaces. */
export type PlaceholderOf<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends '' | `${string}${' ' | '{'}${string}` ? never : Name) | PlaceholderOf<Rest>
  : never;

/** Those of the texts that hold no value. */
export type PlainText = {
  [Text in MessageText]: [PlaceholderOf<Text>] extends [never] ? Text : never;
}[MessageText];

/** A value in a message: shown as it is, translated, or a list. */
export type MessageValue = Scalar | Message | readonly Phrase[];

/** A value that is shown as a template literal shows it. */
type Scalar = string | number | bigint | null | undefined;

/** A sentence or a phrase as data: plain, so that threads and processes can pass it on. */
export interface Message {
  /** The English text, a {@link MessageText}, with a placeholder such as `{table}` for each value. */
  readonly text: string;
  readonly values: Readonly<Record<string, MessageValue>>;
}

/** Arguments for a text: a value for each placeholder, or nothing. */
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

/** Whether a value is a message, and not an object by the columns `text` and `values` of a table. */
export const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' &&
  value !== null &&
  'text' in value &&
  typeof value.text === 'string' &&
  'values' in value &&
  typeof value.values === 'object' &&
  value.values !== null;

/** A phrase within a message: translated if it is a message, else shown as it is, such as a name in code. */
export type Phrase = Message | string;

/** Renders messages in one language. */
export type Translate = (message: Message) => string;

/** Renders messages in English. */
export const english: Translate = ({ text, values }) => fillIn(text, values, english, ', ');

/** Returns what renders messages in the language of a catalogue; a text that it does not have stays English. */
export function translator(catalogue: Catalogue, comma: string): Translate {
  const translate: Translate = ({ text, values }) =>
    fillIn(Object.hasOwn(catalogue, text) ? (catalogue[text] ?? text) : text, values, translate, comma);
  return translate;
}

/**
 * Puts values into a text.
 *
 * @param translate renders the values that are messages
 * @param comma what separates the items of a list
 */
const fillIn = (text: string, values: Message['values'], translate: Translate, comma: string): string =>
  text.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
    const value = values[name];
    if (!Object.hasOwn(values, name)) return placeholder;
    return isList(value) ? value.map((item) => shown(item, translate)).join(comma) : shown(value, translate);
  });

/** Renders a value. One that a message quotes as wrong may be any object. */
const shown = (value: Scalar | Message, translate: Translate): string =>
  isMessage(value) ? translate(value) : String(value);

/** Returns a message in which each value that is a text has passed through `change`. */
export function withValues({ text, values }: Message, change: (text: string) => string): Message {
  const changedItem = (value: Phrase): Phrase =>
    isMessage(value) ? withValues(value, change) : change(String(value));
  const changed = (value: MessageValue): MessageValue => {
    if (isList(value)) return value.map(changedItem);
    const isPlain = value === null || ['number', 'bigint', 'undefined'].includes(typeof value);
    return isPlain ? value : changedItem(value as Phrase);
  };
  const entries = Object.entries(values).map(([name, value]) => [name, changed(value)] as const);
  return { text, values: Object.fromEntries(entries) };
}

const isList = (value: MessageValue): value is readonly Phrase[] => Array.isArray(value);

/** Returns an object with its English texts also as data, for other languages. They are not enumerable: JSON has the English alone. */
export const withTexts = <Result extends object, Texts>(
  result: Result,
  texts: Texts,
): Result & { readonly texts: Texts } =>
  Object.defineProperty(result, 'texts', { value: texts }) as Result & { readonly texts: Texts };
