import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';

/** An option of ours, as the trap needs it. */
export interface KnownOption {
  /** Its name without dashes, as `batch-size`. */
  readonly name: string;
  /** Says of a word whether it can be the option's value; undefined for an option without one. */
  readonly takes?: (word: string) => boolean;
  /** The same of an option that can do without a value. */
  readonly mayTake?: (word: string) => boolean;
}

/** npm completes `--to` to the only setting of its own that begins so. */
const NPM_ALIASES: Readonly<Record<string, string>> = { to: 'token_description' };

/** Settings of npm's own that look like an option of ours. */
const NPM_SETTINGS = new Set(['all', 'loglevel']);

/** npm reads `--lang` as four short options of its own: `-l`, `-a`, `-n`, `-g`. */
const NPM_LETTERS: Readonly<Record<string, readonly string[]>> = { lang: ['long', 'all', 'global'] };

/** Consent is for a person to add, not for a hint to advise. */
const CONSENT_FLAGS = new Set(['yes', 'allow-triggers']);

/**
 * Refuses a call through npm in which npm kept an option for itself: `npm run migrate up --dry-run`, without `--` before
 * the options, hands the script only `up`, and would migrate for real. A misspelt option is kept just the same.
 *
 * @param argv the arguments that arrived
 * @param options the options of ours
 * @param commands names of our commands
 * @throws {BackfillError} `NPM_KEPT_OPTION` with the corrected command
 * @see https://docs.npmjs.com/cli/v11/commands/npm-run (arguments after `--`)
 */
export function refuseNpmKeptOptions(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  options: readonly KnownOption[],
  commands: readonly string[],
): void {
  if (env.npm_lifecycle_event === undefined) return;
  const settings = options.map(({ name }) => settingOf(name));
  const kept = options.flatMap((option) => {
    const value = keptValue(option.name, env, settings);
    const isGiven = argv.some((word) => word === `--${option.name}` || word.startsWith(`--${option.name}=`));
    // A flag that is off, as by `yes=false` in an .npmrc, was not asked for.
    const isOff = option.takes === undefined && (value === '' || value === 'false');
    // npx has a --yes of its own, before the name of the package.
    const isNpx = option.name === 'yes' && env.npm_command === 'exec';
    return value === undefined || isOff || isNpx || isGiven ? [] : [{ ...option, value }];
  });
  if (kept.length === 0) return;
  const isExec = env.npm_command === 'exec';
  const words = isExec ? [...argv] : withoutScript(argv, env.npm_lifecycle_script ?? '');
  const command = words.findIndex((word) => commands.includes(word));
  const first = command < 0 ? [] : words.splice(command, 1);
  // npm leaves the value of an option that it does not know among the arguments, and keeps `true` for the option.
  // Those that take few values choose first, those that can do without one last.
  const byChoice = [...kept].sort((a, b) => ambiguity(a) - ambiguity(b));
  const restored = byChoice.flatMap(({ name, takes, mayTake, value }) => {
    if (CONSENT_FLAGS.has(name)) return [];
    const fits = takes ?? mayTake;
    if (fits === undefined) return [`--${name}`];
    if (value !== 'true') return [`--${name}=${shellWord(value)}`];
    const stray = words.findLastIndex(fits);
    if (stray < 0) return takes ? [`--${name}`, 'VALUE'] : [`--${name}`];
    return [`--${name}`, ...words.splice(stray, 1).map(shellWord)];
  });
  const corrected = [...first, ...words].map(shellWord).concat(restored).join(' ');
  const call = isExec ? 'npm exec -- umzug-backfill' : `npm run ${env.npm_lifecycle_event} --`;
  const consents = kept.filter(({ name }) => CONSENT_FLAGS.has(name)).map(({ name }) => `--${name}`);
  throw new BackfillError(
    'NPM_KEPT_OPTION',
    msg('npm kept {options} for itself, so that it did not reach this command', {
      options: kept.map(({ name }) => `--${name}`).join(', '),
    }),
    consents.length > 0
      ? msg('Put -- before the arguments, and {options} behind them if it is meant: {call} {words}', {
          options: consents.join(', '),
          call,
          words: corrected,
        })
      : msg('Put -- before the arguments: {call} {words}', { call, words: corrected }),
  );
}

/** The arguments without those that stand in npm's script already. */
function withoutScript(argv: readonly string[], script: string): string[] {
  const own = script.trim().split(/\s+/);
  for (let count = Math.min(own.length, argv.length); count > 0; count -= 1)
    if (own.slice(-count).every((word, i) => word === argv[i])) return argv.slice(count);
  return [...argv];
}

/** How little an option minds which word it gets. */
const ambiguity = ({ takes, mayTake }: KnownOption): number => (mayTake ? 2 : takes?.('any word') ? 1 : 0);

/** npm's name for an option: `--no-backup` turns its setting `backup` off. */
const settingOf = (name: string): string => name.replace(/^no-/, '').replaceAll('-', '_');

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

/** Whether `word` is `name` without its separators, its beginning, or one letter off. Short names must be exact. */
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
