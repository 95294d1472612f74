import { BackfillError, type ErrorCode } from './errors.js';
import { type Message, msg, type Phrase } from './messages/message.js';

/** A kind of value that an option takes. */
export interface Kind<Value = unknown> {
  /** Name of the kind, for messages. */
  readonly expected: Message;
  /** Whether a value is of this kind. */
  readonly accepts: (value: unknown) => value is Value;
  /** Parses the argument of a flag; undefined if it is not of this kind. Absent if no argument can be. */
  readonly parse?: (text: string) => Value | undefined;
  /** The allowed words. */
  readonly choices?: readonly string[];
  /** The options of an object. */
  readonly members?: OptionTable;
}

/** A row of the table of options: what the option takes, and the flag that sets it. */
export interface Option<Value = unknown> {
  readonly kind: Kind<Value>;
  /** Whether a value must be given. Default false. */
  readonly isRequired?: boolean;
  /** Value that applies if none is given. */
  readonly default?: Value;
  /** The flag, such as `--batch-size <rows>`. Absent for an option of the API alone. */
  readonly flag?: string;
  /** Commands that take the flag, with its help. */
  readonly help?: Help;
  /** Words for the default, for all commands or by command. Default: `default` in the unit of the flag, else `off`. */
  readonly usual?: string | Help;
  /** Value of the option for 1 of the flag, where their units differ. Default 1. */
  readonly unit?: number;
  /** The only kind of store that the option applies to. Default: both. */
  readonly only?: 'file' | 'server';
  /** Whether the flag is refused for several stores. Default false. */
  readonly isSingle?: boolean;
  /** Options that exclude this one, by command. Default: none. */
  readonly conflicts?: Readonly<Record<string, readonly string[]>>;
}

/** Help of a flag by command. */
export type Help = Readonly<Record<string, string>>;

/** Options by name. */
export type OptionTable = Readonly<Record<string, Option>>;

/** The rows that an interface of options needs. */
export type RowsOf<Options> = {
  readonly [Name in keyof Options]-?: Option<Exclude<Options[Name], undefined>>;
};

/** The values that a table of options takes. */
export type ValuesOf<Table extends OptionTable> = {
  readonly [Name in keyof Table]?: Table[Name] extends Option<infer Value> ? Value | undefined : never;
};

/** Returns the default of a flag, in the unit of the flag. */
export function usualOf({ usual, unit = 1, ...row }: Option, command: string): string {
  const words = typeof usual === 'string' ? usual : usual?.[command];
  return words ?? String(typeof row.default === 'number' ? row.default / unit : (row.default ?? 'off'));
}

const kind = <Value>(
  expected: Message,
  accepts: (value: unknown) => value is Value,
  parse?: (text: string) => unknown,
): Kind<Value> => ({
  expected,
  accepts,
  ...(parse && {
    parse: (text) => {
      const value = parse(text);
      return accepts(value) ? value : undefined;
    },
  }),
});

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const parseDigits = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Number.NaN);
const parseDecimal = (text: string): number => (/^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN);

/** Integers of 1 or more. */
export const POSITIVE = kind(
  msg('a positive integer'),
  (value): value is number => Number.isSafeInteger(value) && Number(value) > 0,
  parseDigits,
);

/** Numbers of 0 or more. */
export const NOT_NEGATIVE = kind(
  msg('a number, 0 or more'),
  (value): value is number => typeof value === 'number' && value >= 0,
  parseDecimal,
);

/** Numbers from 0 to 100. */
export const PERCENT = kind(
  msg('a number from 0 to 100'),
  (value): value is number => typeof value === 'number' && value >= 0 && value <= 100,
  parseDecimal,
);

/** Flags without an argument. */
export const BOOLEAN = kind(msg('true or false'), (value): value is boolean => typeof value === 'boolean');

const isName = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';

/** Strings that are not blank, such as names and paths. */
export const NAME = kind(msg('a non-empty string'), isName);

/** A name, or several. */
export const NAMES = kind(
  msg('a non-empty string, or a list of such strings'),
  (value): value is string | readonly string[] => [value].flat().every(isName),
);

/** Any text. */
export const TEXT = kind(
  msg('a text'),
  (value): value is string => typeof value === 'string',
  (text) => text,
);

/** Paths of folders. */
export const FOLDER = kind(msg('a folder'), isText, (text) => text);

/** Versions such as `3.35` or `3.35.0`. */
export const VERSION = kind(
  msg('a version'),
  (value): value is string => isText(value) && /^\d+\.\d+(?:\.\d+)*$/.test(value),
  (text) => text,
);

/** Functions, such as listeners. */
export const FUNCTION = kind(
  msg('a function'),
  // biome-ignore lint/suspicious/noExplicitAny: the parameters of a function cannot be checked
  (value): value is (...args: any[]) => any => typeof value === 'function',
);

/** Returns the kind whose values are some words. */
export const oneOf = <Word extends string>(...choices: readonly Word[]): Kind<Word> => ({
  ...kind(
    msg('one of {choices}', { choices }),
    (value): value is Word => choices.some((each) => each === value),
    (text) => text,
  ),
  choices,
});

/** Returns a kind of objects that need a certain shape. */
export const object = <Value>(
  expected: Message,
  accepts: (value: unknown) => value is Value,
  members?: OptionTable,
): Kind<Value> => ({ ...kind(expected, accepts), ...(members && { members }) });

/**
 * Refuses options that are unknown or of the wrong kind, by name.
 *
 * @param table the options that are checked
 * @param what the call, such as `createMigrator()`
 * @param others names of further options of the call, which it checks itself
 * @throws {BackfillError} with `code`
 */
export function checkOptions(
  given: object,
  table: OptionTable,
  what: Phrase,
  code: ErrorCode,
  others: readonly string[] = [],
): void {
  refuseUnknownOptions(given, [...others, ...Object.keys(table)], what, code);
  checkKinds(given, table, what, code, '');
}

function checkKinds(given: object, table: OptionTable, what: Phrase, code: ErrorCode, prefix: string): void {
  const values = new Map<string, unknown>(Object.entries(given));
  for (const [name, row] of Object.entries(table)) {
    const value = values.get(name);
    if (value === undefined && !row.isRequired) continue;
    const option = prefix + name;
    const { members } = row.kind;
    if (!row.kind.accepts(value)) throw invalidOption(option, what, row, value, code);
    if (!members || typeof value !== 'object' || value === null) continue;
    refuseUnknownOptions(value, Object.keys(members), optionOf(option, what), code);
    checkKinds(value, members, what, code, `${option}.`);
  }
}

/** Returns the error for an option that is not of its kind. */
export const invalidOption = (
  option: string,
  what: Phrase,
  { kind: { expected }, isRequired }: Pick<Option, 'isRequired'> & { readonly kind: Pick<Kind, 'expected'> },
  value: unknown,
  code: ErrorCode,
): BackfillError =>
  new BackfillError(
    code,
    msg('Expected `{option}` in {what} to be {expected}, got `{value}`', {
      option,
      what,
      expected,
      value: Object(value) === value && !('toString' in Object(value)) ? 'an object' : String(value),
    }),
    isRequired
      ? msg('Set `{option}` in {what}', { option, what })
      : msg('Set `{option}` in {what}, or leave it out for its default', { option, what }),
  );

/** Names an option of a call, such as `checks` of defineBackfill(). */
export const optionOf = (option: string, what: Phrase): Message =>
  msg('`{option}` of {what}', { option, what });

/**
 * Refuses unknown options by name, so that a misspelt one is never silently ignored.
 *
 * @throws {BackfillError} `code` if a property of `given` is not in `known`
 */
export function refuseUnknownOptions(
  given: object,
  known: readonly string[],
  what: Phrase,
  code: ErrorCode,
): void {
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) {
      throw new BackfillError(
        code,
        msg('Unknown option `{option}` in {what}', { option: name, what }),
        msg('Remove it, or use one of: {options}', { options: known.join(', ') }),
      );
    }
  }
}

/**
 * Returns `value` if it is a non-empty string.
 *
 * @throws {BackfillError} `code` otherwise
 */
export function requireText(value: unknown, name: string, what: Phrase, code: ErrorCode): string {
  if (NAME.accepts(value)) return value;
  throw invalidOption(name, what, { kind: NAME, isRequired: true }, value, code);
}
