import type { RevertResult } from '../engine/batch.js';
import type { ValuesLeft } from '../engine/run-options.js';
import type { BackfillError, ErrorTexts } from '../errors.js';
import { bytes, count, duration } from '../format.js';
import { type Translate, untranslated } from '../messages/lang.js';
import type { Told } from '../messages/message.js';
import { msg } from '../messages/message.js';
import type { RunResult, SizeChange } from '../migrate/change.js';
import type { Plan, PlannedFill, PlannedStep } from '../migrate/plan.js';
import type { Backup } from '../safety/backup.js';
import { scrub } from '../secrets.js';
import { shellWord } from '../shell.js';
import type { Verification } from '../verify/verify.js';
import { visible } from '../visible.js';
import type { Presenter } from './cli.js';
import type { Lines } from './print.js';
import { remainingWidth, table } from './table.js';

/** A {@link BackfillError}, or one from another process. */
type ShownError = {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly texts?: ErrorTexts | undefined;
};

/** An error for a person: what is wrong, what mends it. */
export function errorLines(error: ShownError, translate: Translate = untranslated): Lines {
  const { message, hint } = error.texts ?? error;
  const shown = (told: Told): string => visible(scrub(translate(told)));
  return [`${error.code}: ${shown(message)}${translate('.')}`, `  → ${shown(hint)}`];
}

/** An error for a program. */
export function errorJson({ code, message, hint, exitCode }: BackfillError): Record<string, unknown> {
  return { code, message, hint, exitCode };
}

/** A verification as a table: a row a finding. */
export function verificationText(
  { backfill, verdict, checks, durationMs }: Verification,
  { translate, columns }: Pick<Presenter, 'translate' | 'columns'>,
): Lines {
  const rows = checks.flatMap(({ texts: { title }, findings }, number) =>
    findings.map(({ verdict: found, texts, sampleKeys }, i) => [
      i === 0 ? `${number + 1} ${translate(title)}` : '',
      translate(msg(found)),
      `${translate(texts.text)}${sampleKeys ? `${translate(msg(': '))}${sampleKeys.join(', ')}` : ''}`,
    ]),
  );
  // Below the table: with the store's path in it, a command may be longer than a line.
  const hints = checks.flatMap(({ texts: { title, hint } }, number) =>
    hint ? [`${number + 1} ${translate(title)} → ${translate(hint)}`] : [],
  );
  return [
    translate(
      msg('Verification of {backfill}: {verdict} ({duration})', {
        backfill,
        verdict: msg(verdict),
        duration: duration(durationMs),
      }),
    ),
    ...table([translate(msg('check')), translate(msg('verdict')), translate(msg('finding'))], rows, [
      17,
      9,
      remainingWidth(30, columns),
    ]),
    ...hints,
  ];
}

/** How the file changed, and whether VACUUM would pay: it never runs by itself, as it rewrites the whole store. */
export function sizeText({ before, after }: SizeChange, translate: Translate = untranslated): string {
  const change = after.bytes - before.bytes;
  if (after.pageBytes === 0)
    return translate(
      `The database ${change < 0 ? 'shrank' : 'grew'} by ${bytes(Math.abs(change))} to ${bytes(after.bytes)}; autovacuum frees the earlier versions of the rows that were updated.`,
    );
  const [size, free] = [bytes(after.bytes), bytes(after.freeBytes)];
  const isWorth = after.freeBytes > after.bytes / 5;
  return [
    change === 0
      ? translate(msg('The store has {size} as before, of which {free} are free.', { size, free }))
      : translate(
          `The store ${change > 0 ? 'grew' : 'shrank'} by ${bytes(Math.abs(change))} to ${size}, of which ${free} are free.`,
        ),
    translate(
      `VACUUM would ${isWorth ? 'give the free part back; it needs as much disk again and stops other writers' : 'not pay'}.`,
    ),
  ].join(' ');
}

/** Where the backup is, and how to go back to it. */
export function backupText(
  { path, bytes: size, isChecked }: Backup,
  translate: Translate = untranslated,
): Lines {
  const where = translate(
    msg('Backup: {path} ({size}). To go back to it: umzug-backfill restore {file}', {
      path,
      size: bytes(size),
      file: shellWord(path),
    }),
  );
  return isChecked
    ? [where]
    : [
        where,
        `  ${translate('It could not be looked at for damage: the schema uses what only the application has.')}`,
      ];
}

/** An outcome for a person: drift, warnings, what was done, verdicts, size. */
export function outcomeText(
  lines: Lines,
  outcome: RunResult,
  presenter: Pick<Presenter, 'translate' | 'columns'>,
): Lines {
  const { translate } = presenter;
  return [
    ...warningLines(outcome, translate),
    ...(outcome.backup ? backupText(outcome.backup, translate) : []),
    ...lines,
    ...outcome.verifications.flatMap((made) => verificationText(made, presenter)),
    ...(outcome.removedBackups ?? []).map((path) =>
      translate(msg('Removed an old backup: {path}', { path })),
    ),
    ...(outcome.size ? [sizeText(outcome.size, translate)] : []),
  ];
}

const warningLines = (
  { drifts, warnings }: Pick<Plan, 'drifts' | 'warnings'>,
  translate: Translate,
): string[] =>
  [...warnings, ...drifts.map(({ text }) => text)].map((text) =>
    translate(msg('warning: {text}.', { text })),
  );

/** What a program gets of an outcome. */
export function outcomeJson<Outcome extends RunResult>(
  command: string,
  outcome: Outcome,
): Record<string, unknown> {
  const { error, ...rest } = outcome;
  return { command, ...rest, ...(error ? { error: errorJson(error) } : {}) };
}

/** A dry run for a person. */
export function planText(command: string, plan: Plan, translate: Translate = untranslated): Lines {
  const warnings = warningLines(plan, translate);
  if (plan.steps.length === 0 && plan.unverified.length === 0) {
    return [...warnings, translate(msg('Dry run of `{command}`: nothing to do.', { command }))];
  }
  return [
    ...warnings,
    translate(msg('Dry run of `{command}`: nothing was written. It would do this:', { command })),
    ...(plan.backup
      ? [
          translate(
            msg('a backup first: {size} in {folder}', {
              size: bytes(plan.backup.bytes),
              folder: plan.backup.folder,
            }),
          ),
        ]
      : []),
    ...plan.steps.flatMap((step) => [
      ...plannedStepLines(step, translate),
      ...(command === 'down' && step.statements.length === 0 && step.cells === undefined
        ? [`  ${translate('nothing: it made nothing')}`]
        : []),
    ]),
    ...plan.unverified.map((name) =>
      translate(msg('{name}: verify what an earlier run has filled', { name })),
    ),
  ];
}

/** Values that a first run leaves as they are. */
export const valuesLeftText = ({ rows, cells }: ValuesLeft): string =>
  `${count(rows)} rows hold a value already and are left as they are: ${inColumns(cells)}`;

const inColumns = (cells: Readonly<Record<string, number>>): string =>
  Object.entries(cells)
    .map(([column, found]) => `${count(found)} in ${column}`)
    .join(', ');

function plannedStepLines(planned: PlannedStep, translate: Translate): string[] {
  const { step, statements, fill, cells, dependsOn } = planned;
  const lines = statements.map(
    ({ sql, lockMs }) => `${inOneLine(sql)}   (write lock: about ${duration(lockMs)})`,
  );
  if (dependsOn !== undefined) lines.push(`known once ${dependsOn} is applied, which may make what it needs`);
  if (cells) lines.push(...revertLines(cells, translate));
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
    ...lines.map((line) => `  ${translate(line)}`),
    ...(fill && fill.samples.length > 0 ? sampleTable(fill, translate) : []),
  ];
}

const inOneLine = (sql: string): string => sql.trim().replace(/\s*\n\s*/g, ' ');

/** What a `down` did, or would do, with the cells that were filled: how many, and why not all. */
export function revertLines(
  { reverted, kept, underivable, gone }: RevertResult,
  translate: Translate,
): string[] {
  return [
    translate(
      msg(
        '{taken} cells taken back, {kept} kept since they, or what they derive from, were changed meanwhile',
        { taken: count(reverted), kept: count(kept) },
      ),
    ),
    ...(underivable > 0
      ? [
          translate(
            msg('{cells} cells kept since what filled them can not be asked any more', {
              cells: count(underivable),
            }),
          ),
        ]
      : []),
    ...(gone > 0
      ? [
          translate(
            msg('{cells} cells of rows that are gone: deleted, or their key was changed', {
              cells: count(gone),
            }),
          ),
        ]
      : []),
  ];
}

function sampleTable({ samples, cellsToFill }: PlannedFill, translate: Translate): Lines {
  const columns = Object.keys(cellsToFill);
  return table(
    [translate('key'), ...columns],
    samples.map(({ key, values }) => [key, ...columns.map((name) => translate(values[name] ?? ''))]),
  );
}
