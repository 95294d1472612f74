import type { Connection, Transaction } from '../db/connection.js';
import type { Ledger } from '../ledger/ledger.js';
import type { SqlStepDefinition } from '../steps/sql-step.js';
import { noStatement } from '../steps/sql-step.js';
import { fingerprint, type Step } from '../steps/step.js';

type SqlStep = Step & SqlStepDefinition;

/** Runs a step of plain SQL in one transaction with its ledger row. */
export async function applySqlStep(store: Connection, ledger: Ledger, step: SqlStep): Promise<void> {
  const startedAt = performance.now();
  await store.write(async (tx) => {
    const own = ledger.in(tx);
    await own.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    await tx.runStep(async () => {
      for (const statement of step.up) await run(tx, step, statement);
    });
    await own.finishStep(step.name, performance.now() - startedAt);
  });
}

/** Reverts a step of plain SQL in one transaction with its ledger row. */
export async function revertSqlStep(store: Connection, ledger: Ledger, step: SqlStep): Promise<void> {
  await store.write(async (tx) => {
    await tx.runStep(async () => {
      for (const statement of step.down ?? []) await run(tx, step, statement);
    });
    await ledger.in(tx).forgetStep(step.name);
  });
}

async function run(tx: Transaction, { name }: SqlStep, sql: string): Promise<void> {
  try {
    await tx.run(sql);
  } catch (error) {
    // Of SQLite's driver: it refuses a text of several statements, and one with parameters.
    if (error instanceof RangeError || error instanceof TypeError) throw noStatement(name, sql, error);
    throw error;
  }
}
