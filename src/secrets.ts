import { shellWord } from './shell.js';
import { visible } from './visible.js';

// Keeps passwords out of everything that this program prints, writes or throws, in two ways: the secrets that this process was
// given (arguments, environment, URLs) are removed wherever they occur; in other URLs, connection strings and assignments they
// are recognised by form.

/** Replaces a password. In a URL the password is removed instead, as in a store's display name. */
const MASK = '***';

/** Names of options, variables and parameters whose value is a secret. */
const SECRET = '(?:pas+(?!s*file)|pwd|pswd|secret|token|credential|(?:api|app|access|auth|private)[._-]?key)';

/** A value without quotes. It includes both characters of a JSON escape or none, so that JSON stays valid. */
const BARE = String.raw`(?:\\[^\s"']|[^\s;&'"\\])+`;

/** `NAME=VALUE`, also percent-encoded, with the name of a secret. */
const ASSIGNMENT = new RegExp(
  String.raw`([\w.-]{0,40}${SECRET}[\w.-]{0,40}(?:\s{0,3}=\s{0,3}|%3d))('(?:[^'\\]|\\.)*'|"[^"]*"|(?:(?!%26|%20)(?:\\[^\s&;]|[^\s&;\\]))+)`,
  'gi',
);

/** Environment variables that contain only a secret. */
const SECRET_VARIABLE = /(?:password|passwd|passphrase|secret|token)$|_pwd$/i;

/** Environment variables that contain a name, which is not a secret even if a password is the same. */
const NAME_VARIABLE = /(?:user|logname|host|hostname|database|db_name|database_name)$/i;

/** An option whose next argument is a secret. */
const SECRET_OPTION = new RegExp(`^--?[\\w-]{0,40}${SECRET}[\\w-]{0,40}$`, 'i');

/** A password attached to its option: `-pPASSWORD` as in other programs, `--password:PASSWORD`. */
const ATTACHED = new RegExp(`^(-[pPW]|--?[\\w-]{0,40}${SECRET}[\\w-]{0,40}:)(.+)$`, 'is');

/** User and password of a URL, even an invalid one. The password may contain any character. */
const USER_INFO = /\/\/([^:/?#@\s]*):(.*)@([^:/?#\s]*)[^/?#]*\/?([^?#\s]*)/s;
const BARE_USER_INFO = /(?:^|=)([^:/?#@\s=]*):(?!\\)(.*)@([^:/?#\s]*)()/s;

/** Learned replacements, and names that are not secrets. */
const replacements = new Map<string, string>();
const names = new Set<string>();

/** `replacements`, longest first; undefined after a change. */
let sorted: readonly (readonly [found: string | RegExp, put: string])[] | undefined;

/**
 * Learns the secrets in arguments and in the environment. From then on they are removed from everything that this process prints,
 * writes or throws.
 *
 * @param argv arguments of the command line, or URLs
 */
export function learnSecrets(argv: readonly (string | undefined)[], env: NodeJS.ProcessEnv = {}): void {
  argv.forEach((word, i) => {
    if (word === undefined) return;
    learnWord(word);
    const [, letter = '', attached = ''] = ATTACHED.exec(word) ?? [];
    if (isDistinctive(attached)) learn(word, `${letter}${MASK}`);
    const option = argv[i - 1] ?? '';
    if (!SECRET_OPTION.test(option) || /^(?:-|$)/.test(word)) return;
    learnPassword(word);
    for (const form of [word, shellWord(word)]) learn(`${option} ${form}`, `${option} ${MASK}`);
  });
  for (const [name, value] of Object.entries(env)) {
    if (!value) continue;
    if (NAME_VARIABLE.test(name)) names.add(value);
    if (SECRET_VARIABLE.test(name)) {
      learn(`${name}=${value}`, `${name}=${MASK}`);
      learnPassword(value);
    } else if (/^\s*[\w+.-]+:?\/\//.test(value)) learnWord(value);
    else {
      learnAssignments(value);
      for (const word of value.split(/\s+/)) learnUserInfo(word);
    }
  }
  sorted = undefined;
}

/** Learns a single password, such as the value of a variable that a config names. */
export function learnPassword(password: string): void {
  for (const form of formsOf(password)) if (isDistinctive(form)) learn(form, MASK);
}

function learnWord(word: string): void {
  learnUserInfo(word);
  learnAssignments(word);
}

function learnUserInfo(word: string): void {
  if (!word.includes('@')) return;
  const found = (word.includes('//') ? USER_INFO : BARE_USER_INFO).exec(word);
  if (!found) return;
  const [, user = '', password = '', host = '', database = ''] = found;
  for (const name of [user, host, database]) names.add(name).add(decoded(name));
  if (password === '') return;
  for (const form of formsOf(password)) learn(`:${form}@`, '@');
  learnPassword(password);
}

function learnAssignments(word: string): void {
  for (const [whole, name = '', value = ''] of word.matchAll(ASSIGNMENT)) {
    for (const form of wordForms(whole)) learn(form, `${name}${MASK}`);
    learnPassword(value.replace(/^(['"])(.*)\1$/s, '$2'));
  }
}

function learn(found: string, put: string): void {
  if (replacements.get(found) === put) return;
  replacements.set(found, put);
  sorted = undefined;
}

/** Returns the forms in which output may contain a text: plain, in JSON, in a shell's single quotes, escaped. */
const wordForms = (text: string): string[] => [
  ...new Set([text, JSON.stringify(text).slice(1, -1), text.replaceAll("'", `'\\''`), visible(text)]),
];

/** Like {@link wordForms}, also decoded and percent-encoded. */
const formsOf = (password: string): string[] => {
  const plain = decoded(password);
  const encoded = encodeURIComponent(plain.toWellFormed());
  return [...new Set([password, plain, encoded, encodeURIComponent(encoded)].flatMap(wordForms))];
};

/** Decodes the valid percent-encodings in a text. */
const decoded = (text: string): string =>
  text.replace(/(?:%[\da-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'));

/** Whether a password can be distinguished from ordinary words and numbers in output: `up` or `postgres` cannot. */
const isDistinctive = (text: string): boolean =>
  /^(?:[a-z]+(?:[-_./][a-z]+)*|[\d.:-]+)$/i.test(text) ? text.length >= 16 : text.length >= 6;

const LATER_SIGN = /[^\s'"`<>@]*@/y;

/** Whether the word contains another `@`: its password ends there, and is longer than the learned one. */
function hasLaterSign(text: string, from: number): boolean {
  LATER_SIGN.lastIndex = from;
  return LATER_SIGN.test(text);
}

/** Removes the passwords from a text. */
export function scrub(text: string): string {
  sorted ??= [...replacements]
    .filter(([found]) => !names.has(found))
    .sort(([a], [b]) => b.length - a.length)
    .map(([found, put]) => [/^[bfnrtu]/.test(found) ? outsideEscape(found) : found, put]);
  let left = text;
  for (const [found, put] of sorted)
    left = left.replaceAll(found, (match, at: number, whole: string) =>
      put === '@' && hasLaterSign(whole, at + match.length) ? match : put,
    );
  const named = left.includes('://') ? left.replace(WORD, scrubbedWord) : left;
  return named
    .replace(VARIABLE, `$1${MASK}`)
    .replace(CONNECTION_STRING, (found, name: string, offset: number, whole: string) =>
      !found.endsWith(',') && isConnectionString(whole, offset, offset + found.length)
        ? `${name}${MASK}`
        : found,
    );
}

/** Returns a pattern for a text whose first letter does not belong to a JSON escape such as `\n`. */
const outsideEscape = (text: string): RegExp =>
  new RegExp(String.raw`(?<!(?<!\\)(?:\\\\)*\\)${text.replace(/[^\w\s]/g, '\\$&')}`, 'g');

const WORD = /[^\s'"`<>]+/g;
const VARIABLE = new RegExp(`\\b([A-Z][A-Z0-9_]{0,40}(?:PASSWORD|PASSWD|SECRET|TOKEN)=)${BARE}`, 'g');
const CONNECTION_STRING = new RegExp(
  String.raw`\b((?:ssl)?(?:password|passwd|passphrase|pwd)\s{0,3}=\s{0,3})(?:'(?:[^'"\\\n]|\\[^\n])*'|${BARE})`,
  'gi',
);

function scrubbedWord(word: string): string {
  const at = word.indexOf('://');
  if (at < 0) return word;
  const bare = withoutPassword(word, at + '://'.length);
  return /[=%]/.test(bare) ? bare.replace(ASSIGNMENT, `$1${MASK}`) : bare;
}

/** Removes the password from a URL, up to the last `@`. */
function withoutPassword(word: string, from: number): string {
  const end = word.lastIndexOf('@');
  const colon = word.indexOf(':', from);
  if (colon < 0 || end < colon || /[/?#@]/.test(word.slice(from, colon))) return word;
  return word.slice(0, colon) + word.slice(end);
}

/** Whether another parameter is next to the one from `start` to `end`. SQL such as `SET password = x` has none. */
function isConnectionString(text: string, start: number, end: number): boolean {
  const before = text.slice(Math.max(0, start - 100), start);
  return (
    /\w\s{0,3}=\s{0,3}(?:'[^']*'|[^\s;,'"]*)[\s;]+$/.test(before) ||
    /^[\s;]+\w+\s{0,3}=/.test(text.slice(end, end + 100))
  );
}

/** Removes the passwords from every text of an error and its causes, including the stack. */
export function scrubError(error: unknown, done = new Set<unknown>()): void {
  if (!(error instanceof Error) || done.has(error)) return;
  done.add(error);
  for (const [name, { value = name === 'stack' ? error.stack : undefined }] of Object.entries(
    Object.getOwnPropertyDescriptors(error),
  )) {
    if (typeof value === 'string') {
      const clean = scrub(value);
      if (clean !== value)
        Reflect.defineProperty(error, name, { value: clean, configurable: true, writable: true });
    } else for (const each of [value].flat()) scrubError(each, done);
  }
}
