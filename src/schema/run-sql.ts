import type { Ledger } from '../ledger/ledger.js';
import type { SqlStepDefinition } from '../steps/sql-step.js';
import { fingerprint, type Step } from '../steps/step.js';
import type { Store } from '../store/port.js';

type SqlStep = Step & SqlStepDefinition;

/** Runs a step of plain SQL in one transaction with its ledger row. */
export function applySqlStep(store: Store, ledger: Ledger, step: SqlStep): void {
  const startedAt = performance.now();
  store.write(() => {
    ledger.beginStep({ name: step.name, kind: step.kind, fingerprint: fingerprint(step) });
    store.runStep(step.up);
    ledger.finishStep(step.name, performance.now() - startedAt);
  });
}

/** Reverts a step of plain SQL in one transaction with its ledger row. */
export function revertSqlStep(store: Store, ledger: Ledger, step: SqlStep): void {
  store.write(() => {
    store.runStep(step.down ?? []);
    ledger.forgetStep(step.name);
  });
}
