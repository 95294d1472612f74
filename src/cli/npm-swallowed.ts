import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { KNOWN_FLAGS, type KnownFlag } from './options.js';

/** npm completes `--to` to its only setting that starts with it. */
const NPM_ALIASES: Readonly<Record<string, string>> = { to: 'token_description' };

/** npm's settings that resemble one of our options. */
const NPM_SETTINGS = new Set(['all', 'loglevel']);

/** npm parses `--lang` as four of its short options: `-l`, `-a`, `-n`, `-g`. */
const NPM_LETTERS: Readonly<Record<string, readonly string[]>> = { lang: ['long', 'all', 'global'] };

/** Flags that a hint does not suggest, because the user must decide on them. */
const CONSENT_FLAGS = new Set(['yes', 'allow-triggers']);

/**
 * Refuses a call through npm from which npm removed an option: `npm run migrate up --dry-run`, without `--` before the options, passes only
 * `up` to the script, and would migrate for real. npm removes misspelt options too.
 *
 * @param argv arguments that the script received
 * @param commands names of the commands
 * @throws {BackfillError} `NPM_KEPT_OPTION` with the corrected command
 * @see https://docs.npmjs.com/cli/v11/commands/npm-run (arguments after `--`)
 */
export function refuseNpmKeptOptions(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  commands: readonly string[],
): void {
  if (env.npm_lifecycle_event === undefined) return;
  const settings = KNOWN_FLAGS.map(({ name }) => settingOf(name));
  const kept = KNOWN_FLAGS.flatMap((option) => {
    const value = keptValue(option.name, env, settings);
    const isGiven = argv.some((word) => word === `--${option.name}` || word.startsWith(`--${option.name}=`));
    // A flag that is off, for example by `yes=false` in an .npmrc, was not passed.
    const isOff = (option.takes === undefined || option.isOptional) && (value === '' || value === 'false');
    // npx has its own --yes, before the name of the package.
    const isNpx = option.name === 'yes' && env.npm_command === 'exec';
    return value === undefined || isOff || isNpx || isGiven ? [] : [{ ...option, value }];
  });
  if (kept.length === 0) return;
  const isExec = env.npm_command === 'exec';
  const words = isExec ? [...argv] : withoutScript(argv, env.npm_lifecycle_script ?? '');
  const command = words.findIndex((word) => commands.includes(word));
  const first = command < 0 ? [] : words.splice(command, 1);
  // npm leaves the value of an unknown option among the arguments, and sets the option to `true`. Options that accept few values choose
  // theirs first, those with an optional value last.
  const byChoice = [...kept].sort((a, b) => ambiguity(a) - ambiguity(b));
  const restored = byChoice.flatMap(({ name, takes, isOptional, value }) => {
    if (CONSENT_FLAGS.has(name)) return [];
    if (takes === undefined) return [`--${name}`];
    if (value !== 'true') return [`--${name}=${shellWord(value)}`];
    const stray = words.findLastIndex(takes);
    if (stray < 0) return isOptional ? [`--${name}`] : [`--${name}`, 'VALUE'];
    return [`--${name}`, ...words.splice(stray, 1).map(shellWord)];
  });
  const corrected = [...first, ...words].map(shellWord).concat(restored).join(' ');
  const call = isExec ? 'npm exec -- umzug-backfill' : `npm run ${env.npm_lifecycle_event} --`;
  const consents = kept.filter(({ name }) => CONSENT_FLAGS.has(name)).map(({ name }) => `--${name}`);
  throw new BackfillError(
    'NPM_KEPT_OPTION',
    msg('npm kept {options} for itself, so that it did not reach this command', {
      options: kept.map(({ name }) => `--${name}`),
    }),
    consents.length > 0
      ? msg('Pass -- before the arguments, and {options} after them if you mean it: {call} {words}', {
          options: consents,
          call,
          words: corrected,
        })
      : msg('Pass -- before the arguments: {call} {words}', { call, words: corrected }),
  );
}

/** Returns the arguments without those that npm's script contains. */
function withoutScript(argv: readonly string[], script: string): string[] {
  const own = script.trim().split(/\s+/);
  for (let count = Math.min(own.length, argv.length); count > 0; count -= 1)
    if (own.slice(-count).every((word, i) => word === argv[i])) return argv.slice(count);
  return [...argv];
}

/** Ranks an option by how many values it accepts; strict options choose first. */
const ambiguity = ({ takes, isOptional }: KnownFlag): number =>
  isOptional ? 2 : takes?.('any word') ? 1 : 0;

/** Returns npm's name for an option: `--no-backup` turns its setting `backup` off. */
const settingOf = (name: string): string => name.replace(/^no-/, '').replaceAll('-', '_');

/** Returns the value that npm has for an option, whose name may be misspelt; undefined if it has none. */
function keptValue(name: string, env: NodeJS.ProcessEnv, settings: readonly string[]): string | undefined {
  const exact = env[`npm_config_${settingOf(name)}`] ?? env[`npm_config_${NPM_ALIASES[name] ?? ''}`];
  const letters = NPM_LETTERS[name];
  if (letters?.every((letter) => env[`npm_config_${letter}`] === 'true')) return 'true';
  if (name.startsWith('no-')) return exact === '' || exact === 'false' ? 'true' : undefined;
  if (exact !== undefined) return exact;
  const slip = Object.keys(env).find((key) => {
    const setting = /^npm_config_(.+)$/.exec(key)?.[1];
    const other = setting?.replaceAll('_', '');
    return (
      setting !== undefined &&
      other !== undefined &&
      !settings.includes(setting) &&
      !NPM_SETTINGS.has(other) &&
      isTypoOf(other, name.replaceAll('-', ''))
    );
  });
  return slip === undefined ? undefined : env[slip];
}

/** Whether `word` is `name` without separators, a prefix of it, or one letter off. Short names must be exact. */
function isTypoOf(word: string, name: string): boolean {
  if (word === name) return true;
  if (name.length < 6 || word.length < 2) return false;
  if (name.startsWith(word)) return true;
  let from = 0;
  while (from < word.length && word[from] === name[from]) from += 1;
  const rests = [
    [from + 1, from + 1],
    [from + 1, from],
    [from, from + 1],
  ] as const;
  return rests.some(([w, n]) => word.slice(w) === name.slice(n));
}
