import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isRoot } from '../db/file.js';
import { findOpening } from '../db/trust.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { loadFailureText } from '../thrown.js';
import { atCall, type Step, type StepDefinition, stepOf } from './step.js';

/** Whether a file with this name in a step folder is a step file. */
export const isStepFile = (name: string): boolean =>
  /\.(?:[cm]?js|[cm]?ts)$/.test(name) && !/\.d\.[cm]?ts$/.test(name);

/**
 * Loads the steps of a project: every module in its folders, ordered by name (code units).
 *
 * @param folders absolute paths
 * @throws {BackfillError} `CONFIG_INVALID` if a folder cannot be read, `STEP_INVALID` if a file contains no step or two files
 *   have the same name, `CONFIG_UNTRUSTED` if root would run code that other users may write
 */
export async function loadSteps(folders: readonly string[], trust: TrustsCode = {}): Promise<Step[]> {
  const paths = folders.flatMap((folder) => stepFiles(folder));
  for (const path of paths) refuseOthersCode(path, trust);
  return orderSteps(await Promise.all(paths.map(loadStep)));
}

/**
 * Sorts steps by name (code units).
 *
 * @throws {BackfillError} `STEP_INVALID` if two have the same name
 */
export function orderSteps(given: readonly Step[]): Step[] {
  const steps = [...given];
  steps.sort((a, b) => (a.name < b.name ? -1 : 1));
  steps.forEach((step, i) => {
    if (steps[i + 1]?.name === step.name) {
      throw new BackfillError(
        'STEP_INVALID',
        msg('Two step files are named {name}', { name: step.name }),
        msg('Rename one of {file} and {other}', { file: step.path, other: steps[i + 1]?.path }),
      );
    }
  });
  return steps;
}

function stepFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter(isStepFile)
      .map((name) => join(folder, name));
  } catch (error) {
    throw new BackfillError(
      'CONFIG_INVALID',
      msg('The step folder {folder} cannot be read', { folder }),
      msg('Compile the steps first, or set `steps` in the config file to existing folders'),
      { cause: error },
    );
  }
}

/** Loads one step file. Throws like {@link loadSteps}. */
export async function loadStep(path: string): Promise<Step> {
  let definition: StepDefinition | undefined;
  try {
    const exported: unknown = await importDefault(path);
    if (isDefinition(exported)) definition = { ...exported }; // in the try block, because a getter may throw
  } catch (error) {
    if (error instanceof BackfillError) throw atCall(error, path);
    const isTypeScript = /ts$/.test(path);
    throw new BackfillError(
      'STEP_INVALID',
      msg('The step file {file} cannot be loaded ({thrown})', {
        file: path,
        thrown: loadFailureText(error, path),
      }),
      isTypeScript
        ? msg('Compile the steps to JavaScript first (tsc), and set `steps` to that folder')
        : msg('Run it with node to see the error'),
      { cause: error },
    );
  }
  const name = basename(path, extname(path));
  if (hasControlCharacter(name)) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('The name of the step file {file} contains a control character', { file: JSON.stringify(path) }),
      msg('Rename it without control characters'),
    );
  }
  if (!definition) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('The default export of the step file {file} is not a step', { file: path }),
      msg(
        'Export one: export default defineBackfill({ … }), defineSchemaStep({ … }), defineSqlStep({ … }) or requireBackfill(NAME)',
      ),
    );
  }
  return stepOf(definition, name, path);
}

/** Whether a step name contains control characters, such as line breaks. */
export const hasControlCharacter = (name: string): boolean => /[\u0000-\u001f\u007f]/.test(name);

/** Whether a value comes from `defineBackfill`, `defineSchemaStep`, `defineSqlStep` or `requireBackfill`. */
export function isDefinition(value: unknown): value is StepDefinition {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  return ['backfill', 'schema', 'sql', 'require'].includes(String(value.kind));
}

/**
 * Imports a module and returns its default export. In CommonJS, where TypeScript, esbuild and others compile `export default` to
 * the member `default` of `module.exports`, returns that member.
 */
export async function importDefault(path: string): Promise<unknown> {
  const { default: exported } = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
  const isCompiled =
    typeof exported === 'object' && exported !== null && '__esModule' in exported && 'default' in exported;
  return isCompiled ? exported.default : exported;
}

/** Option to run code that other users may write. */
export interface TrustsCode {
  /**
   * Whether root runs the config and the steps even if other users own them or may write them. Default false: they are refused.
   */
  readonly trustConfig?: boolean | undefined;
}

/**
 * Refuses to run a config or a step as root if another user owns or may write it, or a folder or link of its path.
 *
 * @throws {BackfillError} `CONFIG_UNTRUSTED`
 * @see https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
 */
export function refuseOthersCode(file: string, { trustConfig = false }: TrustsCode): void {
  if (trustConfig || !isRoot()) return;
  const opening = findOpening(file, { contents: true });
  if (!opening) return;
  const { path, by, owner } = opening;
  const isOwner = by === 'owner';
  throw new BackfillError(
    'CONFIG_UNTRUSTED',
    isOwner
      ? msg('Root does not run {file}: user id {owner} owns {path}', { file, owner, path })
      : by === 'group'
        ? msg('Root does not run {file}: the group of {path} may change it', { file, path })
        : msg('Root does not run {file}: every user may change {path}', { file, path }),
    isOwner
      ? msg(
          "Put sudo -u '#{owner}' before the command, so that this user runs it; or pass --trust-config if root may run their code",
          { owner },
        )
      : msg('Remove that permission: chmod go-w {path}; or pass --trust-config if root may run their code', {
          path: shellWord(path),
        }),
  );
}

const SOURCE = /(?<!\.d)\.[cm]?ts$/;
const COMPILED = /\.[cm]?js$/;

/**
 * Compares compiled steps, which are the ones that run, with their sources.
 *
 * @param config path of the loaded config; unless it is in a `dist` folder next to the sources, nothing is compared
 * @param folders step folders, as in the config
 * @returns a warning for each difference
 */
export function staleSteps(config: string, folders: readonly string[]): Message[] {
  const compiledRoot = dirname(config);
  if (basename(compiledRoot) !== 'dist') return [];
  const root = dirname(compiledRoot);
  return folders.flatMap((folder) => {
    const [source, compiled] = [join(root, folder), join(compiledRoot, folder)];
    if (!existsSync(source) || !existsSync(compiled)) return [];
    const sources = byName(source, SOURCE);
    const found = byName(compiled, COMPILED);
    const shown = (path: string): string => relative(root, path);
    return [
      ...[...sources].flatMap(([name, path]) => {
        const made = found.get(name);
        if (made === undefined)
          return [msg('{file} is not compiled, and does not run', { file: shown(path) })];
        const isNewer = statSync(path).mtimeMs > statSync(made).mtimeMs;
        return isNewer
          ? [msg('{file} is newer than {compiled}, which runs', { file: shown(path), compiled: shown(made) })]
          : [];
      }),
      ...[...found].flatMap(([name, path]) =>
        sources.size > 0 && !sources.has(name)
          ? [msg('{file} no longer has a source, and still runs', { file: shown(path) })]
          : [],
      ),
    ];
  });
}

const byName = (folder: string, pattern: RegExp): Map<string, string> =>
  new Map(
    readdirSync(folder)
      .filter((name) => pattern.test(name))
      .map((name) => [basename(name, extname(name)), join(folder, name)]),
  );
