import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { loadConfig } from '../config.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { isStepFile, refuseOthersCode, type TrustsCode } from '../steps/load.js';
import { createFile, fileExists } from './new-file.js';
import { nextName, stripNumber } from './numbering.js';
import { STEP_TEMPLATES, type TemplateKind } from './templates.js';

/** What step to write. */
export interface CreateOptions extends TrustsCode {
  readonly kind: TemplateKind;
  /** Whether to write nothing. Default false. */
  readonly dryRun?: boolean | undefined;
  /** The time of a name's timestamp. Default: now. */
  readonly now?: Date;
}

/** The step that was written, or would be. */
export interface CreateResult {
  readonly step: string;
  readonly kind: TemplateKind;
  /** Its file, relative to the folder of the project. */
  readonly file: string;
}

/**
 * Writes a step file from a template into a folder of the project, with a name that sorts after all others.
 *
 * A backfill goes into the folder named `backfills`, else into the last; any other step into the first. The file is of the
 * kind that stands there already. Steps are not loaded: one that is broken is no hindrance.
 *
 * @param folder of the project
 * @param name what the step does: letters, digits, `-` and `_`, a letter first
 * @throws {BackfillError} `USAGE` for a name that can not be one, `FILE_EXISTS` when there is a step of this name,
 *   `FOLDER_UNWRITABLE`, and what `loadConfig` throws
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
      msg('Name what it does, as order-times: its number is put before it'),
    );
  }
  const { config, file: configFile } = await loadConfig(folder, { trustConfig });
  // A config in dist was compiled: the steps to write are those that it is compiled with.
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
      msg('Take a name that sorts after it'),
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

/** The extension of the last file in the folder, else of the last in another; else that of the config's source. */
function extensionOf(target: string, files: readonly string[], config: string, base: string): string {
  const model = files.findLast((path) => dirname(path) === target) ?? files.at(-1);
  if (model !== undefined) return extname(model);
  return dirname(config) === base ? extname(config) : '.ts';
}
