import { BackfillError } from '../errors.js';
import type { Ledger } from '../ledger/ledger.js';
import type { SqlStepDefinition } from '../steps/sql-step.js';
import { fingerprint, type Step } from '../steps/step.js';
import type { Store } from '../store/port.js';

type SqlStep = Step & SqlStepDefinition;

/** Runs a step of plain SQL in one transaction with its ledger row. */
export async function applySqlStep(store: Store, ledger: Ledger, step: SqlStep): Promise<void> {
  const startedAt = performance.now();
  await store.write(async () => {
    await ledger.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    await store.runStep(async () => {
      for (const statement of step.up) await run(store, step, statement);
    });
    await ledger.finishStep(step.name, performance.now() - startedAt);
  });
}

/** Reverts a step of plain SQL in one transaction with its ledger row. */
export async function revertSqlStep(store: Store, ledger: Ledger, step: SqlStep): Promise<void> {
  await store.write(async () => {
    await store.runStep(async () => {
      for (const statement of step.down ?? []) await run(store, step, statement);
    });
    await ledger.forgetStep(step.name);
  });
}

async function run(store: Store, { name }: SqlStep, sql: string): Promise<void> {
  try {
    await store.run(sql);
  } catch (error) {
    // Of SQLite's driver: it refuses a text of several statements, and one with parameters.
    if (error instanceof RangeError || error instanceof TypeError) throw noStatement(name, sql, error);
    throw error;
  }
}

/** The error for a text of a step that is not one statement without parameters. */
export const noStatement = (step: string, sql: string, cause: Error): BackfillError =>
  new BackfillError(
    'STEP_INVALID',
    `A text of the step ${step} is not one statement without parameters: ${JSON.stringify(sql.slice(0, 40))}`,
    'Give each statement a text of its own in the list, with the values written into it',
    { cause },
  );
