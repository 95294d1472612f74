import type { RevertResult } from '../engine/batch.js';
import type { ValuesLeft } from '../engine/run-options.js';
import { bytes, count, duration } from '../format.js';
import { type Message, msg } from '../messages/message.js';
import type { RunResult, SizeChange } from '../migrate/change.js';
import type { Plan, PlannedFill, PlannedStep } from '../migrate/plan.js';
import type { ReportResult } from '../report/report.js';
import type { Backup } from '../safety/backup.js';
import { shellWord } from '../shell.js';
import type { Verification } from '../verify/verify.js';
import type { CommandResult } from './cli.js';
import { type Line, prefixed, type ResultLines, type ResultText, type Table } from './print.js';

/** Returns the lines of a verification: a table with a row per finding, and the hints. */
export function verificationText({ backfill, verdict, checks, durationMs }: Verification): ResultText {
  const titled = checks.map((check, i) => ({ check, title: [`${i + 1} `, check.texts.title] }));
  return [
    msg('Verification of {backfill}: {verdict} ({duration})', {
      backfill,
      verdict: msg(verdict),
      duration: duration(durationMs),
    }),
    {
      heads: [msg('check'), msg('verdict'), msg('finding')],
      rows: titled.flatMap(({ check, title }) =>
        check.findings.map(({ verdict: found, texts, sampleKeys }, i) => [
          i === 0 ? [title] : '',
          msg(found),
          [[texts.text, ...(sampleKeys ? [msg(': '), sampleKeys.join(', ')] : [])]],
        ]),
      ),
      widths: [17, 9],
    },
    // Below the table, because a command with the path of the store can be longer than a line.
    ...titled.flatMap(({ check: { texts }, title }) => (texts.hint ? [[...title, ' → ', texts.hint]] : [])),
  ];
}

/** Share of free pages from which VACUUM is worthwhile. It never runs by itself, because it rewrites the whole store. */
const VACUUM_FROM = 1 / 5;

/** Returns how the size of the store changed, and whether VACUUM is worthwhile. */
function sizeText({ before, after }: SizeChange): Line {
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
function backupText({ path, bytes: size, isChecked }: Backup): ResultLines {
  return [
    msg('Backup: {path} ({size}). To restore it: umzug-backfill restore {file}', {
      path,
      size: bytes(size),
      file: shellWord(path),
    }),
    !isChecked && [
      '  ',
      msg(
        'Integrity not checked: the schema uses functions or collations that only the application provides.',
      ),
    ],
  ];
}

/** Returns the result of a command that was run: warnings, what it did, verdicts, size. */
export function runResult<Outcome extends RunResult>(lines: ResultLines, outcome: Outcome) {
  const { error, ...json } = outcome;
  const text: ResultText = [
    ...warningLines(outcome),
    ...(outcome.backup ? backupText(outcome.backup) : []),
    ...lines,
    ...outcome.verifications.flatMap(verificationText),
    ...(outcome.removedBackups ?? []).map((path) => msg('Removed an old backup: {path}', { path })),
    outcome.size && sizeText(outcome.size),
  ];
  return { json, text, error };
}

const warningLines = ({ drifts, warnings }: Pick<Plan, 'drifts' | 'warnings'>): readonly Line[] =>
  [...warnings, ...drifts.map(({ texts }) => texts.text)].map((text) => msg('warning: {text}.', { text }));

/** Returns the result of a dry run. */
export const planResult = (command: string, plan: Plan): CommandResult => ({
  json: { dryRun: true, ...plan },
  text: [...warningLines(plan), ...planText(command, plan)],
});

function planText(command: string, { steps, unverified, backup }: Plan): ResultText {
  if (steps.length === 0 && unverified.length === 0)
    return [msg('Dry run of `{command}`: nothing to do.', { command })];
  return [
    msg('Dry run of `{command}`: nothing was written. It would do this:', { command }),
    backup !== null &&
      msg('a backup first: {size} in {folder}', { size: bytes(backup.bytes), folder: backup.folder }),
    ...steps.flatMap(
      (step): ResultText => [
        ...plannedStepText(step),
        command === 'down' &&
          step.statements.length === 0 &&
          step.cells === undefined && ['  ', msg('nothing: it created nothing')],
      ],
    ),
    ...unverified.map((name) => msg('{name}: verify what an earlier run filled', { name })),
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

function plannedStepText({ step, statements, fill, cells, dependsOn }: PlannedStep): ResultText {
  const lines = [
    ...statements.map(({ sql, lockMs }) =>
      msg('{sql}   (write lock: about {duration})', { sql: inOneLine(sql), duration: duration(lockMs) }),
    ),
    dependsOn !== undefined &&
      msg('known after {step} is applied, which may create what it needs', { step: dependsOn }),
    ...(cells ? revertLines(cells) : []),
    ...(fill ? fillLines(fill) : []),
  ];
  return [step, ...prefixed(['  '], lines), fill && fill.samples.length > 0 && sampleTable(fill)];
}

function fillLines(fill: PlannedFill): readonly (Message | undefined)[] {
  const skips = skipTexts(fill.skips);
  return [
    msg('{kind} run: {rows} rows in scope with a NULL, in {batches} batches, about {duration}', {
      kind: msg(fill.kind),
      rows: count(fill.rows),
      batches: count(fill.batches),
      duration: duration(fill.expectedMs),
    }),
    msg('cells to fill: {cells}', { cells: inColumns(fill.cellsToFill) }),
    fill.valuesLeft && valuesLeftText(fill.valuesLeft),
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
export function revertLines({
  reverted,
  kept,
  underivable,
  gone,
}: RevertResult): readonly (Message | false)[] {
  return [
    msg('{reverted} cells reverted, {kept} kept (they, or their sources, changed since)', {
      reverted: count(reverted),
      kept: count(kept),
    }),
    underivable > 0 &&
      msg('{cells} cells kept (their values can no longer be derived)', { cells: count(underivable) }),
    gone > 0 && msg('{cells} cells of missing rows (deleted, or their key changed)', { cells: count(gone) }),
  ];
}

function sampleTable({ samples, cellsToFill }: PlannedFill): Table {
  const columns = Object.keys(cellsToFill);
  return {
    heads: [msg('key'), ...columns],
    rows: samples.map(({ key, values }) => [key, ...columns.map((name) => values[name] ?? '')]),
  };
}

/** Returns the lines about a report: its path, and the verdict of each backfill. */
export function reportLines({ path, bytes: size, backfills, error }: ReportResult): readonly Line[] {
  if (path === undefined) {
    if (!error) return [msg('No report was written, because the run was stopped.')];
    const { code, texts } = error;
    return [msg('No report was written ({code}: {message}).', { code, message: texts.message })];
  }
  return [
    msg('Report: {path} ({size}).', { path, size: bytes(size ?? 0) }),
    ...(backfills ?? []).map(
      ({ name, verdict }): Line => [
        `  ${name}`,
        msg(': '),
        msg(verdict === 'none' ? 'not applied, or not verifiable' : verdict),
      ],
    ),
  ];
}
