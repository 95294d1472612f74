import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { loadConfig } from '../config.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { isStepFile, refuseOthersCode, type TrustsCode } from '../steps/load.js';
import { createFile, fileExists } from './new-file.js';
import { nextName, stripNumber } from './numbering.js';
import { STEP_TEMPLATES, type TemplateKind } from './templates.js';

/** Options of {@link createStep}. */
export interface CreateOptions extends TrustsCode {
  readonly kind: TemplateKind;
  /** Whether to write nothing. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Time of a timestamp in the name. Default: now. */
  readonly now?: Date;
}

/** The created step; with `dryRun`, the one that would be created. */
export interface CreateResult {
  readonly step: string;
  readonly kind: TemplateKind;
  /** Its file, relative to the project's folder. */
  readonly file: string;
}

/**
 * Writes a step file from a template into a folder of the project, with a name that sorts after all others.
 *
 * A backfill is written to the folder named `backfills`, else to the last folder; any other step to the first. The extension is that of
 * the existing steps. Existing steps are not loaded, so a broken one does not matter.
 *
 * @param folder the project's folder
 * @param name letters, digits, `-` and `_`, beginning with a letter
 * @throws {BackfillError} `USAGE` if the name is invalid, `FILE_EXISTS` if there is a step of this name, `FOLDER_UNWRITABLE`, and the
 *   errors of `loadConfig`
 */
export async function createStep(
  folder: string,
  name: string,
  { kind, dryRun, now = new Date(), trustConfig }: CreateOptions,
): Promise<CreateResult> {
  if (!/^[A-Za-z][\w-]*$/.test(name) || name.length > 100) {
    throw new BackfillError(
      'USAGE',
      msg('Expected the name of the step to be letters, digits, - and _, and a letter first, got {name}', {
        name: JSON.stringify(name),
      }),
      msg('Pass a name for what it does, such as order-times; its number is added'),
    );
  }
  const { config, file: configFile } = await loadConfig(folder, { trustConfig });
  // A config in dist was compiled; the step is written next to its source.
  const base = basename(dirname(configFile)) === 'dist' ? folder : dirname(configFile);
  const folders = config.steps.map((path) => resolve(base, path));
  const files = folders.flatMap((path) => stepFilesIn(path));
  const names = files.map((path) => basename(path, extname(path)));
  const same = files.find((_, i) => stripNumber(names[i] ?? '') === name);
  if (same !== undefined) throw fileExists(same);
  const step = nextName(names, name, now);
  const last = names.sort().at(-1);
  if (last !== undefined && step <= last) {
    throw new BackfillError(
      'USAGE',
      msg('The step {step} would sort before {other}, and steps run in the order of their names', {
        step,
        other: last,
      }),
      msg('Choose a name that sorts after it'),
    );
  }
  const target = targetFolder(folders, kind);
  const path = join(target, `${step}${extensionOf(target, files, configFile, base)}`);
  refuseOthersCode(target, { trustConfig });
  if (!dryRun) createFile(path, STEP_TEMPLATES[kind]);
  return { step, kind, file: relative(folder, path) };
}

const stepFilesIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter(isStepFile)
        .map((name) => join(folder, name))
    : [];

function targetFolder(folders: readonly string[], kind: TemplateKind): string {
  const last = folders.at(-1) ?? '';
  return kind === 'backfill'
    ? (folders.find((path) => basename(path) === 'backfills') ?? last)
    : (folders[0] ?? '');
}

/** Returns the extension of the last file in the folder, else of the last file in any folder, else of the config's source. */
function extensionOf(target: string, files: readonly string[], config: string, base: string): string {
  const model = files.findLast((path) => dirname(path) === target) ?? files.at(-1);
  if (model !== undefined) return extname(model);
  return dirname(config) === base ? extname(config) : '.ts';
}
