import { readdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { BackfillError } from '../errors.js';
import { loadFailureText } from '../thrown.js';
import { importDefault } from './import-default.js';
import { atCall } from './in-step.js';
import { type Step, type StepDefinition, stepOf } from './step.js';
import { refuseOthersCode, type TrustsCode } from './trusted.js';

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
        `Two step files are both named ${step.name}`,
        `Rename one of ${step.path} and ${steps[i + 1]?.path}`,
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
      `The step folder ${folder} can not be read`,
      'Compile the steps first, if there are any, or name folders that exist in `steps` of the config file',
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
      `The step file ${path} can not be loaded (${loadFailureText(error, path)})`,
      isTypeScript
        ? 'Compile the steps to JavaScript first (tsc), and name that folder'
        : 'Run it alone with node to see why',
      { cause: error },
    );
  }
  const name = basename(path, extname(path));
  if (hasControlCharacter(name)) {
    throw new BackfillError(
      'STEP_INVALID',
      `The name of the step file ${JSON.stringify(path)} holds a control character`,
      'Give it a name of one line',
    );
  }
  if (!definition) {
    throw new BackfillError(
      'STEP_INVALID',
      `The step file ${path} has no step as its default export`,
      'Export one: export default defineBackfill({ … }), defineSchemaStep({ … }), defineSqlStep({ … }) or requireBackfill(NAME)',
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
