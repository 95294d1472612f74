import type { RevertResult } from '../engine/batch.js';
import type { ValuesLeft } from '../engine/run-options.js';
import type { BackfillError, ErrorTexts } from '../errors.js';
import { bytes, count, duration } from '../format.js';
import type { Translate } from '../messages/lang.js';
import { english, type Message, msg } from '../messages/message.js';
import type { RunResult, SizeChange } from '../migrate/change.js';
import type { Plan, PlannedFill, PlannedStep } from '../migrate/plan.js';
import type { Backup } from '../safety/backup.js';
import { scrub } from '../secrets.js';
import { shellWord } from '../shell.js';
import type { Verification } from '../verify/verify.js';
import { visible } from '../visible.js';
import type { CommandResult, Presenter } from './cli.js';
import type { Lines } from './print.js';
import { remainingWidth, table } from './table.js';

/** A part of a line: a message, or text that is the same in every language. */
type Part = string | Message;

/** A line of a result, from one part or several. */
export type Line = Part | readonly Part[];

/** Renders lines in the reader's language. */
export const renderLines = (lines: readonly Line[], translate: Translate): Lines =>
  lines.map((line) =>
    [line]
      .flat()
      .map((part: Part) => (typeof part === 'string' ? part : translate(part)))
      .join(''),
  );

/** A {@link BackfillError}, or one from another process. */
type ShownError = { readonly code: string; readonly texts: ErrorTexts };

/** Returns the lines of an error: code and message, and the hint. */
export function errorLines(error: ShownError, translate: Translate = english): Lines {
  const { message, hint } = error.texts;
  const shown = (told: Message): string => visible(scrub(translate(told)));
  return [`${error.code}: ${shown(message)}${translate(msg('.'))}`, `  → ${shown(hint)}`];
}

/** Returns the JSON of an error. */
export function errorJson({ code, message, hint, exitCode }: BackfillError): Record<string, unknown> {
  return { code, message, hint, exitCode };
}

/** Returns a verification as a table with a row per finding. */
export function verificationText(
  { backfill, verdict, checks, durationMs }: Verification,
  { translate, columns }: Presenter,
): readonly Line[] {
  const rows = checks.flatMap(({ texts: { title }, findings }, number) =>
    findings.map(({ verdict: found, texts, sampleKeys }, i) => [
      i === 0 ? `${number + 1} ${translate(title)}` : '',
      translate(msg(found)),
      `${translate(texts.text)}${sampleKeys ? `${translate(msg(': '))}${sampleKeys.join(', ')}` : ''}`,
    ]),
  );
  // Below the table, because a command with the path of the store can be longer than a line.
  const hints = checks.flatMap(({ texts: { title, hint } }, number) =>
    hint ? [`${number + 1} ${translate(title)} → ${translate(hint)}`] : [],
  );
  const heads = [msg('check'), msg('verdict'), msg('finding')].map(translate);
  return [
    msg('Verification of {backfill}: {verdict} ({duration})', {
      backfill,
      verdict: msg(verdict),
      duration: duration(durationMs),
    }),
    ...table(heads, rows, [17, 9, remainingWidth(30, columns)]),
    ...hints,
  ];
}

/** Share of free pages from which VACUUM is worthwhile. It never runs by itself, because it rewrites the whole store. */
const VACUUM_FROM = 1 / 5;

/** Returns how the size of the store changed, and whether VACUUM is worthwhile. */
function sizeText({ before, after }: SizeChange): readonly Part[] {
  const change = after.bytes - before.bytes;
  const values = { change: bytes(Math.abs(change)), size: bytes(after.bytes), free: bytes(after.freeBytes) };
  if (after.pageBytes === 0) {
    return [
      change < 0
        ? msg(
            'The database shrank by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.',
            values,
          )
        : msg(
            'The database grew by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.',
            values,
          ),
    ];
  }
  return [
    change === 0
      ? msg('The store has {size} as before, of which {free} are free.', values)
      : change > 0
        ? msg('The store grew by {change} to {size}, of which {free} are free.', values)
        : msg('The store shrank by {change} to {size}, of which {free} are free.', values),
    ' ',
    after.freeBytes > after.bytes * VACUUM_FROM
      ? msg('VACUUM would free that space; it needs as much disk again and blocks other writers.')
      : msg('VACUUM is not worthwhile.'),
  ];
}

/** Returns where the backup is, and the command that restores it. */
function backupText({ path, bytes: size, isChecked }: Backup): readonly Line[] {
  return [
    msg('Backup: {path} ({size}). To restore it: umzug-backfill restore {file}', {
      path,
      size: bytes(size),
      file: shellWord(path),
    }),
    ...(isChecked
      ? []
      : [
          [
            '  ',
            msg(
              'Integrity not checked: the schema uses functions or collations that only the application provides.',
            ),
          ],
        ]),
  ];
}

/** Returns the lines of a result: drift, warnings, changes, verdicts, size. */
function outcomeText(lines: readonly Line[], outcome: RunResult, presenter: Presenter): readonly Line[] {
  return [
    ...warningLines(outcome),
    ...(outcome.backup ? backupText(outcome.backup) : []),
    ...lines,
    ...outcome.verifications.flatMap((made) => verificationText(made, presenter)),
    ...(outcome.removedBackups ?? []).map((path) => msg('Removed an old backup: {path}', { path })),
    ...(outcome.size ? [sizeText(outcome.size)] : []),
  ];
}

const warningLines = ({ drifts, warnings }: Pick<Plan, 'drifts' | 'warnings'>): readonly Line[] =>
  [...warnings, ...drifts.map(({ texts }) => texts.text)].map((text) => msg('warning: {text}.', { text }));

/** Returns the JSON of a result. */
export function outcomeJson<Outcome extends RunResult>(
  command: string,
  outcome: Outcome,
): Record<string, unknown> {
  const { error, ...rest } = outcome;
  return { command, ...rest, ...(error ? { error: errorJson(error) } : {}) };
}

/** Returns the result of a command that was run. */
export function runResult(
  command: string,
  lines: readonly Line[],
  outcome: RunResult,
  presenter: Presenter,
): CommandResult {
  return {
    json: outcomeJson(command, outcome),
    text: outcomeText(lines, outcome, presenter),
    error: outcome.error,
  };
}

/** Returns the result of a dry run. */
export const planResult = (command: string, plan: Plan, { translate }: Presenter): CommandResult => ({
  json: { command, dryRun: true, ...plan },
  text: planText(command, plan, translate),
});

function planText(command: string, plan: Plan, translate: Translate): readonly Line[] {
  const warnings = warningLines(plan);
  if (plan.steps.length === 0 && plan.unverified.length === 0)
    return [...warnings, msg('Dry run of `{command}`: nothing to do.', { command })];
  return [
    ...warnings,
    msg('Dry run of `{command}`: nothing was written. It would do this:', { command }),
    ...(plan.backup
      ? [
          msg('a backup first: {size} in {folder}', {
            size: bytes(plan.backup.bytes),
            folder: plan.backup.folder,
          }),
        ]
      : []),
    ...plan.steps.flatMap((step): readonly Line[] => [
      ...plannedStepLines(step, translate),
      ...(command === 'down' && step.statements.length === 0 && step.cells === undefined
        ? [['  ', msg('nothing: it created nothing')]]
        : []),
    ]),
    ...plan.unverified.map((name) => msg('{name}: verify what an earlier run filled', { name })),
  ];
}

/** Returns the values that a first run leaves unchanged. */
export const valuesLeftText = ({ rows, cells }: ValuesLeft): Message =>
  msg('{rows} rows already have a value and are left unchanged: {cells}', {
    rows: count(rows),
    cells: inColumns(cells),
  });

const inColumns = (cells: Readonly<Record<string, number>>): readonly Message[] =>
  Object.entries(cells).map(([column, found]) => msg('{count} in {column}', { count: count(found), column }));

/** Returns numbers of skips by reason. */
export const skipTexts = (skips: Readonly<Record<string, number>>): readonly string[] =>
  Object.entries(skips).map(([reason, rows]) => `${count(rows)} ${reason}`);

function plannedStepLines(planned: PlannedStep, translate: Translate): readonly Line[] {
  const { step, statements, fill, cells, dependsOn } = planned;
  const lines: readonly Message[] = [
    ...statements.map(({ sql, lockMs }) =>
      msg('{sql}   (write lock: about {duration})', { sql: inOneLine(sql), duration: duration(lockMs) }),
    ),
    ...(dependsOn === undefined
      ? []
      : [msg('known after {step} is applied, which may create what it needs', { step: dependsOn })]),
    ...(cells ? revertLines(cells) : []),
    ...(fill ? fillLines(fill) : []),
  ];
  return [
    step,
    ...lines.map((line): Line => ['  ', line]),
    ...(fill && fill.samples.length > 0 ? sampleTable(fill, translate) : []),
  ];
}

function fillLines(fill: PlannedFill): readonly Message[] {
  const skips = skipTexts(fill.skips);
  return [
    msg('{kind} run: {rows} rows in scope with a NULL, in {batches} batches, about {duration}', {
      kind: msg(fill.kind),
      rows: count(fill.rows),
      batches: count(fill.batches),
      duration: duration(fill.expectedMs),
    }),
    msg('cells to fill: {cells}', { cells: inColumns(fill.cellsToFill) }),
    ...(fill.valuesLeft ? [valuesLeftText(fill.valuesLeft)] : []),
    skips.length > 0 ? msg('to skip: {skips}', { skips }) : msg('to skip: none'),
    msg('disk needed: about {size}, and briefly as much again for the journal', {
      size: bytes(fill.diskBytes),
    }),
    fill.triggers.length > 0
      ? msg('triggers fired by each update: {triggers}', { triggers: fill.triggers })
      : msg('triggers fired by each update: none'),
  ];
}

const inOneLine = (sql: string): string => sql.trim().replace(/\s*\n\s*/g, ' ');

/** Returns how many cells a `down` reverted, or would revert, and why it kept the others. */
export function revertLines({ reverted, kept, underivable, gone }: RevertResult): readonly Message[] {
  return [
    msg('{reverted} cells reverted, {kept} kept (they, or their sources, changed since)', {
      reverted: count(reverted),
      kept: count(kept),
    }),
    ...(underivable > 0
      ? [msg('{cells} cells kept (their values can no longer be derived)', { cells: count(underivable) })]
      : []),
    ...(gone > 0
      ? [msg('{cells} cells of missing rows (deleted, or their key changed)', { cells: count(gone) })]
      : []),
  ];
}

function sampleTable({ samples, cellsToFill }: PlannedFill, translate: Translate): Lines {
  const columns = Object.keys(cellsToFill);
  const shown = (value: Message | undefined): string => (value ? translate(value) : '');
  return table(
    [translate(msg('key')), ...columns],
    samples.map(({ key, values }) => [key, ...columns.map((name) => shown(values[name]))]),
  );
}
