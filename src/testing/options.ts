import { basename, extname } from 'node:path';
import { isSameName } from '../db/sql.js';
import { BackfillError } from '../errors.js';
import { optionFile } from '../file-url.js';
import type {
  BackfillDefinition,
  BackfillSkips,
  CellValue,
  FileUrl,
  SchemaStepDefinition,
  SqlStepDefinition,
} from '../index.js';
import { type Message, msg } from '../messages/message.js';
import { BOOLEAN, checkOptions, invalidOption, POSITIVE, refuseUnknownOptions } from '../options.js';
import { isDefinition, loadStep } from '../steps/load.js';

/** A row of the backfill's table: values by column. Missing columns have their default. */
export type TestRow = Readonly<Record<string, CellValue>>;

/** The store that a backfill is tested on. */
export interface SeedOptions {
  /**
   * SQL, and steps by `defineSchemaStep` and `defineSqlStep`, that create the tables, including the columns to fill. They may insert rows
   * into other tables; those of the backfill's table belong in `rows`.
   */
  readonly schema: string | readonly (string | SchemaStepDefinition | SqlStepDefinition)[];
  /** Rows of the backfill's table: a few dozen, including every kind of unusual row in your data. */
  readonly rows: readonly TestRow[];
  /** Expected rows after `up`: the key, and columns that the backfill fills. Default: none. */
  readonly expected?: readonly TestRow[];
  /** Rows per batch. Default: a fifth of `rows`, for about five batches. */
  readonly batchRows?: number;
  /** Whether updates may fire triggers. Default false. */
  readonly allowTriggers?: boolean;
  /** Whether errors contain messages of `process`, the step's file and the database, which may quote these rows. Default true. */
  readonly showValues?: boolean;
}

/** Options for a backfill in a step file. */
export interface FileTestOptions extends SeedOptions {
  /** The compiled step file; a path is relative to the current folder. */
  readonly file: string | FileUrl;
}

/** Options for a backfill that is defined in the test. */
export interface InlineTestOptions extends SeedOptions {
  /**
   * The definition. One with functions cannot be sent to another process: its runs are interrupted by an exception instead of SIGKILL,
   * and `interruptedBy` of the result is `exception`.
   */
  readonly backfill: BackfillDefinition;
}

/** Options of {@link testBackfill}. */
export type TestBackfillOptions = FileTestOptions | InlineTestOptions;

/** The key of a row. */
export type Key = BackfillSkips['skips'][number]['key'];

/** A backfill with its name. */
export type BackfillStep = BackfillDefinition & { readonly name: string; readonly path: string };

/** A backfill under test, and the contents of its store. */
export interface Subject extends Required<SeedOptions> {
  readonly step: BackfillStep;
  /** Its file; undefined if it is defined in the test. */
  readonly file: string | undefined;
  readonly schema: readonly (string | SchemaStepDefinition | SqlStepDefinition)[];
}

const WHAT = 'testBackfill()';
const TABLE = {
  batchRows: { kind: POSITIVE },
  allowTriggers: { kind: BOOLEAN },
  showValues: { kind: BOOLEAN },
};

const invalid = (name: string, expected: Message, value: unknown): BackfillError =>
  invalidOption(name, WHAT, { kind: { expected } }, value, 'USAGE');

/**
 * Validates the options, and loads the step.
 *
 * @throws {BackfillError} `USAGE` naming an option that is missing, unknown or of the wrong type; `STEP_INVALID` if a file has no backfill
 */
export async function readOptions(options: TestBackfillOptions): Promise<Subject> {
  checkOptions(options, TABLE, WHAT, 'USAGE', ['file', 'backfill', 'schema', 'rows', 'expected']);
  const { rows, expected = [], allowTriggers = false, showValues = true } = options;
  checkRows('rows', rows);
  checkRows('expected', expected);
  if (rows.length === 0) throw invalid('rows', msg('a list of at least one row'), '[]');
  const { batchRows = Math.ceil(rows.length / 5) } = options;
  const schema = checkedSchema(options.schema);
  const { step, file } = await readStep(options);
  const names = [step.key, ...step.columns.map(({ name }) => name)];
  for (const row of expected) refuseOtherCells(row, names);
  return { step, file, schema, rows, expected, batchRows, allowTriggers, showValues };
}

async function readStep(
  options: Partial<FileTestOptions & InlineTestOptions>,
): Promise<Pick<Subject, 'step' | 'file'>> {
  const { file, backfill } = options;
  if ((file === undefined) === (backfill === undefined)) {
    throw new BackfillError(
      'USAGE',
      msg('testBackfill() requires either `file` or `backfill`'),
      msg("Set file: new URL('../backfills/NAME.js', import.meta.url), or backfill: defineBackfill({ … })"),
    );
  }
  if (backfill !== undefined) {
    if (!isDefinition(backfill) || backfill.kind !== 'backfill')
      throw invalid('backfill', msg('the result of defineBackfill()'), backfill);
    return { step: { ...backfill, name: 'backfill', path: WHAT }, file: undefined };
  }
  const path = optionFile(file, WHAT, 'USAGE');
  const step = await loadStep(path);
  if (step.kind !== 'backfill') {
    throw new BackfillError(
      'STEP_INVALID',
      msg('The step file {path} does not declare a backfill', { path }),
      msg('Set `file` to one with: export default defineBackfill({ … })'),
    );
  }
  return { step: { ...step, name: basename(path, extname(path)) }, file: path };
}

function checkedSchema(schema: unknown): Subject['schema'] {
  const parts: readonly unknown[] = Array.isArray(schema) ? schema : [schema];
  for (const part of parts) {
    const isSql = typeof part === 'string' && part.trim() !== '';
    const isStep = isDefinition(part) && (part.kind === 'schema' || part.kind === 'sql');
    if (!isSql && !isStep)
      throw invalid('schema', msg('SQL, or steps by defineSchemaStep() or defineSqlStep()'), part);
  }
  return parts as Subject['schema'];
}

/** Checks whether SQLite can store a value unchanged. */
const isCellValue = (value: unknown): boolean =>
  value === null ||
  typeof value === 'string' ||
  typeof value === 'bigint' ||
  (typeof value === 'number' && Number.isFinite(value)) ||
  value instanceof Uint8Array;

function checkRows(option: 'rows' | 'expected', rows: unknown): void {
  if (!Array.isArray(rows)) throw invalid(option, msg('a list of rows'), rows);
  for (const [i, row] of (rows as unknown[]).entries()) {
    if (typeof row !== 'object' || row === null)
      throw invalid(`${option}[${i}]`, msg('values by column'), row);
    for (const [column, value] of Object.entries(row))
      if (!isCellValue(value))
        throw invalid(
          `${option}[${i}].${column}`,
          msg('a string, a finite number, a bigint, bytes or null'),
          typeof value,
        );
  }
}

/** Refuses columns that would never be compared, such as a misspelt one. */
function refuseOtherCells(row: TestRow, names: readonly string[]): void {
  refuseUnknownOptions(row, names, `\`expected\` of ${WHAT}`, 'USAGE');
  const key = names[0] ?? '';
  if (!Object.keys(row).some((name) => isSameName(name, key)))
    throw invalid('expected', msg('rows with their key, {key}', { key }), Object.keys(row).join(', '));
}
