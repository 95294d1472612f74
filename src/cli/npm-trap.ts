import { BackfillError } from '../errors.js';

/** An option of ours, as the trap needs it. */
export interface TrappedOption {
  /** Its name without dashes, as `batch-size`. */
  readonly name: string;
  readonly takesValue: boolean;
}

/** npm completes `--to` to the only setting of its own that begins so. */
const NPM_ALIASES: Readonly<Record<string, string>> = { to: 'token_description' };

/**
 * Refuses a call through `npm run` in which npm kept an option for itself: `npm run migrate up --dry-run`, without `--`
 * before the options, hands the script only `up`, and would migrate for real.
 *
 * @param argv the arguments that arrived
 * @param options the options of ours
 * @throws {BackfillError} `NPM_KEPT_OPTION` with the corrected command
 * @see https://docs.npmjs.com/cli/v11/commands/npm-run (arguments after `--`)
 */
export function refuseNpmKeptOptions(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  options: readonly TrappedOption[],
): void {
  const script = env.npm_lifecycle_event;
  if (script === undefined) return;
  const kept = options.flatMap((option) => {
    const value = keptValue(option.name, env);
    const isGiven = argv.some((word) => word === `--${option.name}` || word.startsWith(`--${option.name}=`));
    return value === undefined || isGiven ? [] : [{ ...option, value }];
  });
  if (kept.length === 0) return;
  // npm leaves the value of an option that it does not know among the arguments, and keeps `true` for the option.
  const words = [...argv];
  const restored = kept.flatMap(({ name, takesValue, value }) => {
    if (!takesValue) return [`--${name}`];
    if (value !== 'true') return [`--${name}=${shellWord(value)}`];
    const stray = words.length > 1 ? words.pop() : undefined;
    return stray === undefined ? [`--${name}`] : [`--${name}`, shellWord(stray)];
  });
  throw new BackfillError(
    'NPM_KEPT_OPTION',
    `npm kept ${kept.map(({ name }) => `--${name}`).join(', ')} for itself, so that it did not reach this command`,
    `Put -- before the arguments: npm run ${script} -- ${[...words.map(shellWord), ...restored].join(' ')}`,
  );
}

function keptValue(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const alias = NPM_ALIASES[name];
  return env[`npm_config_${name.replaceAll('-', '_')}`] ?? (alias && env[`npm_config_${alias}`]);
}

const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
