import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, extname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isRoot } from '../db/file.js';
import { findOpening } from '../db/trust.js';
import { BackfillError, type ErrorCode } from '../errors.js';
import { type Message, msg, type PlainText } from '../messages/message.js';
import { shellWord } from '../shell.js';
import { loadFailureText, placeOf } from '../thrown.js';
import { type Step, type StepDefinition, stepOf } from './step.js';
import { invalidStep } from './values.js';

/** Whether a file with this name in a step folder is a step file. */
export const isStepFile = (name: string): boolean => SOURCE.test(name) || COMPILED.test(name);

const SOURCE = /(?<!\.d)\.[cm]?ts$/;
const COMPILED = /\.[cm]?js$/;

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
  for (const [i, { name, path }] of steps.entries())
    if (steps[i + 1]?.name === name)
      throw invalidStep(
        msg('Two step files are named {name}', { name }),
        msg('Rename one of {file} and {other}', { file: path, other: steps[i + 1]?.path }),
      );
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
  const definition = await loadDeclaration(
    path,
    // copied while it is loaded, because a getter may throw
    (exported) => (isDefinition(exported) ? { ...exported } : undefined),
    'STEP_INVALID',
    (values) => msg('The step file {file} cannot be loaded ({thrown})', values),
    'Compile the steps to JavaScript first (tsc), and set `steps` to that folder',
  );
  const name = basename(path, extname(path));
  if (hasControlCharacter(name))
    throw invalidStep(
      msg('The name of the step file {file} contains a control character', { file: JSON.stringify(path) }),
      msg('Rename it without control characters'),
    );
  if (!definition)
    throw invalidStep(
      msg('The default export of the step file {file} is not a step', { file: path }),
      msg(
        'Export one: export default defineBackfill({ … }), defineSchemaStep({ … }), defineSqlStep({ … }) or requireBackfill(NAME)',
      ),
    );
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
 * Imports a step file or a config file, and reads its default export. In CommonJS, where TypeScript, esbuild and others compile
 * `export default` to the member `default` of `module.exports`, that member counts.
 *
 * @param read returns the declaration, or undefined if the export is none
 * @param failure returns the message if the file cannot be loaded
 * @param compile hint for a file that is not compiled
 * @throws {BackfillError} `code` if it cannot be loaded; an error of a define function, with the place of the call
 */
export async function loadDeclaration<Declaration>(
  file: string,
  read: (exported: unknown) => Declaration,
  code: ErrorCode,
  failure: (values: { readonly file: string; readonly thrown: string }) => Message,
  compile: PlainText,
): Promise<Declaration> {
  try {
    const { default: own } = (await import(pathToFileURL(file).href)) as { readonly default?: unknown };
    const isCompiled = typeof own === 'object' && own !== null && '__esModule' in own && 'default' in own;
    return read(isCompiled ? own.default : own);
  } catch (error) {
    const options = { cause: error };
    if (error instanceof BackfillError) {
      const { message, hint } = error.texts;
      const place = placeOf(error) ?? file;
      throw new BackfillError(error.code, msg('{message} (at {place})', { message, place }), hint, options);
    }
    const hint = /ts$/.test(file) ? compile : 'Run it with node to see the error';
    const thrown = loadFailureText(error, file);
    throw new BackfillError(code, failure({ file, thrown }), msg(hint), options);
  }
}

/** Option to run code that other users may write. */
export interface TrustsCode {
  /** Whether root runs the config and steps even if other users own them or may write them. Default false: they are refused. */
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
    const [sources, found] = [byName(source, SOURCE), byName(compiled, COMPILED)];
    const shown = (path: string): string => relative(root, path);
    const warnings: Message[] = [];
    for (const [name, path] of sources) {
      const made = found.get(name);
      if (made === undefined)
        warnings.push(msg('{file} is not compiled, and does not run', { file: shown(path) }));
      else if (statSync(path).mtimeMs > statSync(made).mtimeMs)
        warnings.push(
          msg('{file} is newer than {compiled}, which runs', { file: shown(path), compiled: shown(made) }),
        );
    }
    for (const [name, path] of found)
      if (sources.size > 0 && !sources.has(name))
        warnings.push(msg('{file} no longer has a source, and still runs', { file: shown(path) }));
    return warnings;
  });
}

const byName = (folder: string, pattern: RegExp): Map<string, string> =>
  new Map(
    readdirSync(folder)
      .filter((name) => pattern.test(name))
      .map((name) => [basename(name, extname(name)), join(folder, name)]),
  );
