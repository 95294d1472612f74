import Table from 'cli-table3';
import type { BackfillError } from '../errors.js';
import { bytes, count, duration } from '../format.js';
import type { Plan, PlannedStep } from '../migrator/plan.js';
import type { RunOutcome, SizeChange } from '../migrator/session.js';
import { shellWord } from '../shell.js';
import type { Backup } from '../store/sqlite/backup.js';
import type { Verification } from '../verification/verify.js';

/**
 * A table with a header row.
 *
 * @param widths characters of each column, longer text is wrapped. Default: as wide as the text
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  widths?: readonly number[],
): string {
  const drawn = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    ...(widths ? { colWidths: [...widths], wordWrap: true } : {}),
  });
  drawn.push(...rows.map((row) => [...row]));
  return drawn.toString();
}

/** An error for a person: what is wrong, what mends it. */
export function errorText(error: BackfillError): string {
  return `${error.code}: ${error.message}.\n  → ${error.hint}`;
}

/** An error for a program. */
export function errorJson({ code, message, hint, exitCode }: BackfillError): Record<string, unknown> {
  return { code, message, hint, exitCode };
}

/** Width of a column: what a terminal leaves beside so many characters, from 30 to 90; 90 where there is none. */
export const widthBeside = (taken: number): number =>
  Math.max(30, Math.min(90, (process.stdout.columns || 200) - taken));

/** A verification as a table: a row a finding. */
export function verificationText({ backfill, verdict, checks, durationMs }: Verification): string {
  const rows = checks.flatMap(({ title, findings }, number) =>
    findings.map((finding, i) => [
      i === 0 ? `${number + 1} ${title}` : '',
      finding.verdict,
      finding.sampleKeys ? `${finding.text}: ${finding.sampleKeys.join(', ')}` : finding.text,
    ]),
  );
  // Below the table: with the store's path in it, a command may be longer than a line.
  const hints = checks.flatMap(({ title, verdict: whole, hint }, number) =>
    whole === 'fail' && hint ? [`${number + 1} ${title} → ${hint}`] : [],
  );
  return [
    `Verification of ${backfill}: ${verdict} (${duration(durationMs)})`,
    table(['check', 'verdict', 'finding'], rows, [17, 9, widthBeside(30)]),
    ...hints,
  ].join('\n');
}

/** How the file changed, and whether VACUUM would pay: it never runs by itself, as it rewrites the whole store. */
export function sizeText({ before, after }: SizeChange): string {
  const change = after.bytes - before.bytes;
  const grown = change >= 0 ? `grew by ${bytes(change)}` : `shrank by ${bytes(-change)}`;
  const size = `The store ${grown} to ${bytes(after.bytes)}, of which ${bytes(after.freeBytes)} are free.`;
  return after.freeBytes > after.bytes / 5
    ? `${size} VACUUM would give the free part back; it needs as much disk again and stops other writers.`
    : `${size} VACUUM would not pay.`;
}

/** Where the backup is, and how to go back to it. */
export function backupText({ path, bytes: size, isChecked }: Backup): string {
  const unchecked = isChecked
    ? ''
    : '\n  It could not be looked at for damage: the schema uses what only the application has.';
  return `Backup: ${path} (${bytes(size)}). To go back to it: umzug-backfill restore ${shellWord(path)}${unchecked}`;
}

/** An outcome for a person: drift, warnings, what was done, verdicts, size. */
export function outcomeText(lines: readonly string[], outcome: RunOutcome): string {
  return [
    ...outcome.drifts.map(({ text }) => `warning: ${text}.`),
    ...outcome.warnings.map((text) => `warning: ${text}.`),
    ...(outcome.backup ? [backupText(outcome.backup)] : []),
    ...lines,
    ...outcome.verifications.map(verificationText),
    ...(outcome.size ? [sizeText(outcome.size)] : []),
  ].join('\n');
}

/** What a program gets of an outcome. */
export function outcomeJson<Outcome extends RunOutcome>(
  command: string,
  outcome: Outcome,
): Record<string, unknown> {
  const { error, ...rest } = outcome;
  return { command, ...rest, ...(error ? { error: errorJson(error) } : {}) };
}

/** A dry run for a person. */
export function planText(command: string, plan: Plan): string {
  const warnings = [...plan.drifts.map(({ text }) => text), ...plan.warnings].map(
    (text) => `warning: ${text}.`,
  );
  if (plan.steps.length === 0 && plan.unverified.length === 0) {
    return [...warnings, `Dry run of \`${command}\`: nothing to do.`].join('\n');
  }
  return [
    ...warnings,
    `Dry run of \`${command}\`: nothing was written. It would do this:`,
    ...(plan.backup ? [`a backup first: ${bytes(plan.backup.bytes)} in ${plan.backup.folder}`] : []),
    ...plan.steps.flatMap(plannedStepLines),
    ...plan.unverified.map((name) => `${name}: verify what an earlier run has filled`),
  ].join('\n');
}

function plannedStepLines({ step, statements, fill, cellsToRevert }: PlannedStep): string[] {
  const lines = [step];
  for (const { sql, lockMs } of statements) lines.push(`  ${sql}   (write lock: about ${duration(lockMs)})`);
  if (cellsToRevert !== undefined)
    lines.push(
      `  set to NULL again up to ${count(cellsToRevert)} cells that still hold what their row derives`,
    );
  if (!fill) return lines;
  const toFill = Object.entries(fill.cellsToFill).map(([column, cells]) => `${count(cells)} in ${column}`);
  const skipped = Object.entries(fill.skips).map(([reason, rows]) => `${count(rows)} ${reason}`);
  lines.push(
    `  ${fill.kind} run: ${count(fill.rows)} rows in scope with a NULL, in ${count(fill.batches)} batches, about ${duration(fill.expectedMs)}`,
    `  cells to fill: ${toFill.join(', ')}`,
    `  to skip: ${skipped.length > 0 ? skipped.join(', ') : 'none'}`,
    `  disk needed: about ${bytes(fill.diskBytes)}, and as much for a moment in the journal`,
    `  triggers that each update fires: ${fill.triggers.length > 0 ? fill.triggers.join(', ') : 'none'}`,
  );
  if (fill.samples.length > 0) {
    const columns = Object.keys(fill.cellsToFill);
    lines.push(
      table(
        ['key', ...columns],
        fill.samples.map(({ key, values }) => [key, ...columns.map((name) => values[name] ?? '')]),
      ),
    );
  }
  return lines;
}
