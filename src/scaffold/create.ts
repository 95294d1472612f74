import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { loadConfig } from '../config.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { isStepFile, refuseOthersCode, type TrustsCode } from '../steps/load.js';
import { createFile, fileExists } from './new-file.js';

/** Texts of new steps. Each runs unchanged on a store whose table has these names. */
const STEP_TEMPLATES = {
  schema: `import { defineSchemaStep } from 'umzug-backfill';

// Creates missing columns and indexes; \`down\` drops exactly those that were created.
export default defineSchemaStep({
  table: 'my_table',
  // New columns are NULL at first; a backfill fills existing rows.
  columns: { my_column: 'TEXT' },
  // Each index is created in a separate transaction, which takes least time before its column is filled.
  indexes: { idx_my_table_my_column: { columns: ['my_column'], where: 'my_column IS NOT NULL' } },
});
`,
  backfill: `import { defineBackfill, firstOf } from 'umzug-backfill';

// Fills NULLs batch by batch; \`down\` reverts exactly what was filled.
export default defineBackfill({
  table: 'my_table',
  key: 'id',
  // Condition on the rows to fill. Default: all rows.
  scope: 'payload IS NOT NULL',
  // The first of these members of the JSON in \`payload\` that has a usable value, else \`created_at\`.
  columns: { my_column: firstOf('payload', ['my_member', 'my_old_member'], 'created_at') },
});
`,
  sql: `import { defineSqlStep } from 'umzug-backfill';

// Runs in one transaction, during which no other program can write: use a backfill for many rows.
export default defineSqlStep({
  up: ['CREATE TABLE my_table (id INTEGER PRIMARY KEY, payload TEXT, created_at TEXT)'],
  down: ['DROP TABLE my_table'],
});
`,
} as const;

interface CreateOptions extends TrustsCode {
  readonly kind: keyof typeof STEP_TEMPLATES;
  /** Whether to write nothing. */
  readonly dryRun: boolean;
  readonly now: Date;
}

/**
 * Writes a step file from a template into a folder of the project, with a name that sorts after all others.
 *
 * A backfill is written to the folder named `backfills`, else to the last folder; any other step to the first. The extension is that of
 * the existing steps. Existing steps are not loaded, so a broken one does not matter.
 *
 * @param folder the project's folder
 * @param name letters, digits, `-` and `_`, beginning with a letter
 * @returns the step, with its file relative to the project's folder; with `dryRun`, what would be created
 * @throws {BackfillError} `USAGE` if the name is invalid, `FILE_EXISTS` if there is a step of this name, `FOLDER_UNWRITABLE`, and the
 *   errors of `loadConfig`
 */
export async function createStep(
  folder: string,
  name: string,
  { kind, dryRun, now, trustConfig }: CreateOptions,
) {
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

function targetFolder(folders: readonly string[], kind: CreateOptions['kind']): string {
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

/** Timestamps at the beginning of names, longest first, with the function that formats an instant. */
const TIMESTAMP_FORMATS: readonly (readonly [form: RegExp, stamp: (now: Date) => string])[] = [
  [/^\d{4}\.\d\d\.\d\dT\d\d\.\d\d\.\d\d(?!\d)/, (now) => now.toISOString().slice(0, 19).replace(/\W/g, '.')],
  [/^\d{14}(?!\d)/, (now) => digits(now).slice(0, 14)],
  [/^\d{13}(?!\d)/, (now) => String(now.getTime())],
  [/^\d{12}(?!\d)/, (now) => digits(now).slice(0, 12)],
  [/^\d{10}(?!\d)/, (now) => String(Math.floor(now.getTime() / 1000))],
  [/^\d{8}(?!\d)/, (now) => digits(now).slice(0, 8)],
];

const digits = (now: Date): string => now.toISOString().replace(/\D/g, '');

/** The number before a name, with head and separator: `v021-`, `2` and `-` in `v021-2-orders`. */
const NUMBERED = /^(?<head>.*?)(?<number>\d+)(?<separator>[-_.])(?=\p{L})/u;

/** All numbers before a name, each with an optional `v` and a separator. */
const PREFIX = /^(?:v?\d+(?:[-_.T]|(?=\D)))*/;

/** Returns the name of a step without its number. */
const stripNumber = (step: string): string => step.replace(PREFIX, '');

/**
 * Returns the name of a new step, numbered like the project's last step: `001-` for the first; a timestamp in UTC if the last step has
 * one; else the next number. No number if the last step has none.
 *
 * @param steps names of all steps, in any order
 */
function nextName(steps: readonly string[], name: string, now: Date): string {
  const last = [...steps].sort().at(-1);
  if (last === undefined) return `001-${name}`;
  const parts = NUMBERED.exec(last)?.groups;
  if (parts === undefined) return name;
  const { head = '', number = '', separator = '' } = parts;
  const stamp = TIMESTAMP_FORMATS.find(([form]) => form.test(last))?.[1](now);
  const stamped = `${stamp}${separator}${name}`;
  return stamp !== undefined && stamped > last ? stamped : `${head}${nextNumber(number)}${separator}${name}`;
}

/** Returns the next number with as many digits; after 9, 91, because 10 would sort before 9. */
function nextNumber(number: string): string {
  const next = String(BigInt(number) + 1n).padStart(number.length, '0');
  return next.length > number.length ? `${number}1` : next;
}
