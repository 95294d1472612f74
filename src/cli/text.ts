import Table from 'cli-table3';
import type { RevertResult } from '../engine/batch.js';
import type { ValuesLeft } from '../engine/run-options.js';
import type { BackfillError } from '../errors.js';
import { bytes, count, duration } from '../format.js';
import type { Plan, PlannedFill, PlannedStep } from '../migrator/plan.js';
import type { RunOutcome, SizeChange } from '../migrator/session.js';
import type { Backup } from '../safety/backup.js';
import { scrub } from '../secrets.js';
import { shellWord } from '../shell.js';
import type { Verification } from '../verify/verify.js';
import { visible } from '../visible.js';
import { asIs, type Say } from '../words/lang.js';
import type { Reader } from './cli.js';
import type { Lines } from './print.js';
import { wrapWide } from './wide.js';

/** Characters of a column that are no text: a space on each side. */
const PADDING = 2;

/** A cell of a table: a text, or several lines. */
export type Cell = string | Lines;

/**
 * A table with a header row.
 *
 * @param widths characters of each column, longer text is wrapped. Default: as wide as the text
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  widths?: readonly number[],
): Lines {
  const fitted = (text: string, i: number): string =>
    widths ? wrapWide(text, (widths[i] ?? 0) - PADDING) : text;
  const texts = rows.map((row) => row.map((cell, i) => fitted(cellText(cell), i)));
  const drawn = new Table({
    head: head.map(cellText),
    style: { head: [], border: [], compact: true },
    ...(widths ? { colWidths: [...widths], wordWrap: true } : {}),
  });
  drawn.push(...texts);
  return drawn.toString().split('\n');
}

/** The text of a cell. It is drawn as it will be printed, since lines may break anywhere in it. */
const cellText = (cell: Cell): string =>
  [cell]
    .flat()
    .map((line) => visible(scrub(line)))
    .join('\n');

/** An error for a person: what is wrong, what mends it. */
export function errorLines(
  error: { readonly code: string; readonly message: string; readonly hint: string },
  say: Say = asIs,
): Lines {
  return [`${error.code}: ${say(error.message)}${say('.')}`, `  → ${say(error.hint)}`];
}

/** An error for a program. */
export function errorJson({ code, message, hint, exitCode }: BackfillError): Record<string, unknown> {
  return { code, message, hint, exitCode };
}

/** Width of a column: what a terminal leaves beside so many characters, from 30 to 90; 90 where there is none. */
export const widthBeside = (taken: number, columns?: number): number =>
  Math.max(30, Math.min(90, (columns || 200) - taken)); // some terminals say 0

/** A verification as a table: a row a finding. */
export function verificationText(
  { backfill, verdict, checks, durationMs }: Verification,
  { say, columns }: Pick<Reader, 'say' | 'columns'>,
): Lines {
  const rows = checks.flatMap(({ title, findings }, number) =>
    findings.map(({ verdict: found, text, sampleKeys }, i) => [
      i === 0 ? `${number + 1} ${say(title)}` : '',
      say(found),
      sampleKeys ? `${say(text)}${say(': ')}${sampleKeys.join(', ')}` : say(text),
    ]),
  );
  // Below the table: with the store's path in it, a command may be longer than a line.
  const hints = checks.flatMap(({ title, hint }, number) =>
    hint ? [`${number + 1} ${say(title)} → ${say(hint)}`] : [],
  );
  return [
    say(`Verification of ${backfill}: ${verdict} (${duration(durationMs)})`),
    ...table([say('check'), say('verdict'), say('finding')], rows, [17, 9, widthBeside(30, columns)]),
    ...hints,
  ];
}

/** How the file changed, and whether VACUUM would pay: it never runs by itself, as it rewrites the whole store. */
export function sizeText({ before, after }: SizeChange, say: Say = asIs): string {
  const change = after.bytes - before.bytes;
  if (after.pageBytes === 0)
    return say(
      `The database ${change < 0 ? 'shrank' : 'grew'} by ${bytes(Math.abs(change))} to ${bytes(after.bytes)}; autovacuum frees the earlier versions of the rows that were updated.`,
    );
  const [size, free] = [bytes(after.bytes), bytes(after.freeBytes)];
  const isWorth = after.freeBytes > after.bytes / 5;
  return [
    change === 0
      ? say(`The store has ${size} as before, of which ${free} are free.`)
      : say(
          `The store ${change > 0 ? 'grew' : 'shrank'} by ${bytes(Math.abs(change))} to ${size}, of which ${free} are free.`,
        ),
    say(
      `VACUUM would ${isWorth ? 'give the free part back; it needs as much disk again and stops other writers' : 'not pay'}.`,
    ),
  ].join(' ');
}

/** Where the backup is, and how to go back to it. */
export function backupText({ path, bytes: size, isChecked }: Backup, say: Say = asIs): Lines {
  const where = say(
    `Backup: ${path} (${bytes(size)}). To go back to it: umzug-backfill restore ${shellWord(path)}`,
  );
  return isChecked
    ? [where]
    : [
        where,
        `  ${say('It could not be looked at for damage: the schema uses what only the application has.')}`,
      ];
}

/** An outcome for a person: drift, warnings, what was done, verdicts, size. */
export function outcomeText(
  lines: Lines,
  outcome: RunOutcome,
  reader: Pick<Reader, 'say' | 'columns'>,
): Lines {
  const { say } = reader;
  return [
    ...warningLines(outcome, say),
    ...(outcome.backup ? backupText(outcome.backup, say) : []),
    ...lines,
    ...outcome.verifications.flatMap((made) => verificationText(made, reader)),
    ...(outcome.removedBackups ?? []).map((path) => say(`Removed an old backup: ${path}`)),
    ...(outcome.size ? [sizeText(outcome.size, say)] : []),
  ];
}

const warningLines = ({ drifts, warnings }: Pick<Plan, 'drifts' | 'warnings'>, say: Say): string[] =>
  [...warnings, ...drifts.map(({ text }) => text)].map((text) => say(`warning: ${text}.`));

/** What a program gets of an outcome. */
export function outcomeJson<Outcome extends RunOutcome>(
  command: string,
  outcome: Outcome,
): Record<string, unknown> {
  const { error, ...rest } = outcome;
  return { command, ...rest, ...(error ? { error: errorJson(error) } : {}) };
}

/** A dry run for a person. */
export function planText(command: string, plan: Plan, say: Say = asIs): Lines {
  const warnings = warningLines(plan, say);
  if (plan.steps.length === 0 && plan.unverified.length === 0) {
    return [...warnings, say(`Dry run of \`${command}\`: nothing to do.`)];
  }
  return [
    ...warnings,
    say(`Dry run of \`${command}\`: nothing was written. It would do this:`),
    ...(plan.backup ? [say(`a backup first: ${bytes(plan.backup.bytes)} in ${plan.backup.folder}`)] : []),
    ...plan.steps.flatMap((step) => [
      ...plannedStepLines(step, say),
      ...(command === 'down' && step.statements.length === 0 && step.cells === undefined
        ? [`  ${say('nothing: it made nothing')}`]
        : []),
    ]),
    ...plan.unverified.map((name) => say(`${name}: verify what an earlier run has filled`)),
  ];
}

/** Values that a first run leaves as they are. */
export const valuesLeftText = ({ rows, cells }: ValuesLeft): string =>
  `${count(rows)} rows hold a value already and are left as they are: ${inColumns(cells)}`;

const inColumns = (cells: Readonly<Record<string, number>>): string =>
  Object.entries(cells)
    .map(([column, found]) => `${count(found)} in ${column}`)
    .join(', ');

function plannedStepLines(planned: PlannedStep, say: Say): string[] {
  const { step, statements, fill, cells, awaits } = planned;
  const lines = statements.map(
    ({ sql, lockMs }) => `${inOneLine(sql)}   (write lock: about ${duration(lockMs)})`,
  );
  if (awaits !== undefined) lines.push(`known once ${awaits} is applied, which may make what it needs`);
  if (cells) lines.push(...revertLines(cells, say));
  if (fill) {
    const skipped = Object.entries(fill.skips).map(([reason, rows]) => `${count(rows)} ${reason}`);
    lines.push(
      `${fill.kind} run: ${count(fill.rows)} rows in scope with a NULL, in ${count(fill.batches)} batches, about ${duration(fill.expectedMs)}`,
      `cells to fill: ${inColumns(fill.cellsToFill)}`,
      ...(fill.valuesLeft ? [valuesLeftText(fill.valuesLeft)] : []),
      `to skip: ${skipped.length > 0 ? skipped.join(', ') : 'none'}`,
      `disk needed: about ${bytes(fill.diskBytes)}, and as much for a moment in the journal`,
      `triggers that each update fires: ${fill.triggers.length > 0 ? fill.triggers.join(', ') : 'none'}`,
    );
  }
  return [
    step,
    ...lines.map((line) => `  ${say(line)}`),
    ...(fill && fill.samples.length > 0 ? sampleTable(fill, say) : []),
  ];
}

const inOneLine = (sql: string): string => sql.trim().replace(/\s*\n\s*/g, ' ');

/** What a `down` did, or would do, with the cells that were filled: how many, and why not all. */
export function revertLines({ reverted, kept, underivable, gone }: RevertResult, say: Say): string[] {
  return [
    say(
      `${count(reverted)} cells taken back, ${count(kept)} kept since they, or what they derive from, were changed meanwhile`,
    ),
    ...(underivable > 0
      ? [say(`${count(underivable)} cells kept since what filled them can not be asked any more`)]
      : []),
    ...(gone > 0
      ? [say(`${count(gone)} cells of rows that are gone: deleted, or their key was changed`)]
      : []),
  ];
}

function sampleTable({ samples, cellsToFill }: PlannedFill, say: Say): Lines {
  const columns = Object.keys(cellsToFill);
  return table(
    [say('key'), ...columns],
    samples.map(({ key, values }) => [key, ...columns.map((name) => say(values[name] ?? ''))]),
  );
}
