import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findOpening, isRoot } from '../db/file.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { loadFailureText } from '../thrown.js';
import { atCall, type Step, type StepDefinition, stepOf } from './step.js';

/** Whether a file of this name in a step folder is a step. */
export const isStepFile = (name: string): boolean =>
  /\.(?:[cm]?js|[cm]?ts)$/.test(name) && !/\.d\.[cm]?ts$/.test(name);

/**
 * Loads the steps of a project: every module of its folders, in one list ordered by name (code units).
 *
 * @param folders absolute paths
 * @throws {BackfillError} `CONFIG_INVALID` when a folder can not be read, `STEP_INVALID` when a file holds no step or
 *   two files have one name, `CONFIG_UNTRUSTED` if root would run what others may write
 */
export async function loadSteps(folders: readonly string[], trust: TrustsCode = {}): Promise<Step[]> {
  const paths = folders.flatMap((folder) => stepFiles(folder));
  for (const path of paths) refuseOthersCode(path, trust);
  return orderSteps(await Promise.all(paths.map(loadStep)));
}

/**
 * Puts steps in their one order, by name (code units).
 *
 * @throws {BackfillError} `STEP_INVALID` when two have one name
 */
export function orderSteps(given: readonly Step[]): Step[] {
  const steps = [...given];
  steps.sort((a, b) => (a.name < b.name ? -1 : 1));
  steps.forEach((step, i) => {
    if (steps[i + 1]?.name === step.name) {
      throw new BackfillError(
        'STEP_INVALID',
        msg('Two step files are both named {name}', { name: step.name }),
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
      msg('The step folder {folder} can not be read', { folder }),
      msg(
        'Compile the steps first, if there are any, or name folders that exist in `steps` of the config file',
      ),
      { cause: error },
    );
  }
}

/** Loads one step file. Throws as {@link loadSteps}. */
export async function loadStep(path: string): Promise<Step> {
  let definition: StepDefinition | undefined;
  try {
    const exported: unknown = await importDefault(path);
    if (isDefinition(exported)) definition = { ...exported }; // here: an accessor of it may throw
  } catch (error) {
    if (error instanceof BackfillError) throw atCall(error, path);
    const isTypeScript = /ts$/.test(path);
    throw new BackfillError(
      'STEP_INVALID',
      msg('The step file {file} can not be loaded ({thrown})', {
        file: path,
        thrown: loadFailureText(error, path),
      }),
      isTypeScript
        ? msg('Compile the steps to JavaScript first (tsc), and name that folder')
        : msg('Run it alone with node to see why'),
      { cause: error },
    );
  }
  const name = basename(path, extname(path));
  if (hasControlCharacter(name)) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('The name of the step file {file} holds a control character', { file: JSON.stringify(path) }),
      msg('Give it a name of one line'),
    );
  }
  if (!definition) {
    throw new BackfillError(
      'STEP_INVALID',
      msg('The step file {file} has no step as its default export', { file: path }),
      msg(
        'Export one: export default defineBackfill({ … }), defineSchemaStep({ … }), defineSqlStep({ … }) or requireBackfill(NAME)',
      ),
    );
  }
  return stepOf(definition, name, path);
}

/** Whether a name of a step could not stand on one line. */
export const hasControlCharacter = (name: string): boolean => /[\u0000-\u001f\u007f]/.test(name);

/** Whether a value is what `defineBackfill`, `defineSchemaStep`, `defineSqlStep` or `requireBackfill` return. */
export function isDefinition(value: unknown): value is StepDefinition {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  return ['backfill', 'schema', 'sql', 'require'].includes(String(value.kind));
}

/**
 * Imports a module and returns its default export. A module of CommonJS has none: what TypeScript, esbuild and others make of
 * `export default` is the member `default` of its exports.
 */
export async function importDefault(path: string): Promise<unknown> {
  const { default: exported } = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
  const isCompiled =
    typeof exported === 'object' && exported !== null && '__esModule' in exported && 'default' in exported;
  return isCompiled ? exported.default : exported;
}

/** Whether code is run whoever may write it. */
export interface TrustsCode {
  /** Whether root runs the config and the steps also if other users own them or may write them. Default false: they are refused. */
  readonly trustConfig?: boolean | undefined;
}

/**
 * Refuses to run a config or a step as root if another user owns it or may write it, or a folder or link on its path.
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
          "Put sudo -u '#{owner}' before the command, so that this user runs it; or pass --trust-config if root may run what they write",
          { owner },
        )
      : msg(
          'Remove that permission: chmod go-w {path}; or pass --trust-config if root may run what they write',
          { path: shellWord(path) },
        ),
  );
}

/** A file of a step in TypeScript. */
const SOURCE = /(?<!\.d)\.[cm]?ts$/;
const COMPILED = /\.[cm]?js$/;

/**
 * Compares the compiled steps with their sources, where those lie beside them: it is the compiled ones that run.
 *
 * @param config the config file that was loaded; nothing is compared unless it lies in a `dist` folder with sources beside it
 * @param folders the folders of steps, as the config names them
 * @returns what does not agree, a sentence each
 */
export function staleSteps(config: string, folders: readonly string[]): string[] {
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
        if (made === undefined) return [`${shown(path)} is not compiled, and is left out`];
        const isNewer = statSync(path).mtimeMs > statSync(made).mtimeMs;
        return isNewer ? [`${shown(path)} is newer than ${shown(made)}, which runs`] : [];
      }),
      ...[...found].flatMap(([name, path]) =>
        sources.size > 0 && !sources.has(name)
          ? [`${shown(path)} has no source any more, and still runs`]
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
