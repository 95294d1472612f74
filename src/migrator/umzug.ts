import { type RunnableMigration, Umzug } from 'umzug';
import type { RevertResult } from '../engine/batch.js';
import { stepStorage } from '../ledger/steps.js';
import { revertBackfillStep } from '../run/revert.js';
import { applyBackfillStep } from '../run/runner.js';
import { applySchemaStep, applySqlStep, revertSchemaStep, revertSqlStep } from '../run/schema.js';
import type { Step } from '../steps/step.js';
import { inStep } from '../steps/step.js';
import type { Verification } from '../verify/verify.js';
import { type Warnings, warnOfFilledAgain } from './catching-up.js';
import { applyRequireStep } from './require-step.js';
import type { MigratorOptions, OpenSession } from './session.js';

/** Where the steps of an Umzug instance leave what they have to tell. */
export interface Results {
  /** Verdicts that steps reached. */
  readonly verifications: Verification[];
  /** Warnings of steps. */
  readonly warnings: Warnings;
  /** Told what a backfill's `down` took back. */
  readonly onReverted?: (step: string, result: RevertResult) => void;
}

/**
 * Builds the Umzug instance of a project on an open store: its steps in their order, the ledger as its storage.
 *
 * @param direction which of umzug's two commands it is for
 */
export function buildUmzug(
  session: OpenSession,
  options: MigratorOptions,
  direction: 'up' | 'down',
  results: Results,
): Umzug<OpenSession> {
  return new Umzug<OpenSession>({
    migrations: options.project.steps.map((step) => named(step, runnable(step, options, results))),
    context: session,
    storage: stepStorage(session.ledger, direction),
    logger: undefined,
  });
}

/** Makes errors about a step's declaration name its file. */
const named = (
  step: Step,
  { up, down, ...rest }: RunnableMigration<OpenSession>,
): RunnableMigration<OpenSession> => ({
  ...rest,
  up: async (params) => await inStep(step, async () => up(params)),
  ...(down ? { down: async (params) => await inStep(step, async () => down(params)) } : {}),
});

function runnable(
  step: Step,
  options: MigratorOptions,
  { verifications, warnings, onReverted }: Results,
): RunnableMigration<OpenSession> {
  const { name, path } = step;
  switch (step.kind) {
    case 'schema':
      return {
        name,
        path,
        up: async ({ context: { store, ledger } }) => await applySchemaStep(store, ledger, step),
        down: async ({ context: { store, ledger } }) => {
          await revertSchemaStep(store, ledger, step, { confirmed: options.confirmed ?? false });
        },
      };
    case 'backfill':
      return {
        name,
        path,
        up: async ({ context: { store, ledger } }) =>
          warnOfFilledAgain(step, await applyBackfillStep(store, ledger, step, options), options, warnings),
        down: async ({ context: { store, ledger } }) => {
          onReverted?.(name, await revertBackfillStep(store, ledger, step, options));
        },
      };
    case 'sql':
      return {
        name,
        path,
        up: async ({ context: { store, ledger } }) => await applySqlStep(store, ledger, step),
        down: async ({ context: { store, ledger } }) => await revertSqlStep(store, ledger, step),
      };
    case 'require':
      return {
        name,
        path,
        up: async ({ context }) => applyRequireStep(context, options, step, verifications, warnings),
        down: async ({ context: { store, ledger } }) =>
          await store.write(async (tx) => await ledger.in(tx).deleteStep(name)),
      };
  }
}
