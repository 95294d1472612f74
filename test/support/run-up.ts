import { join } from 'node:path';
import { generateStore, type StoreOptions } from '../../demo/store-generator.js';
import type { RunOptions } from '../../src/backfill/run-options.js';
import { applyBackfillStep, revertBackfillStep } from '../../src/backfill/runner.js';
import { BackfillError } from '../../src/index.js';
import { applySchemaStep } from '../../src/schema/run.js';
import { asAgentOs, backfillStep, type Opened, schemaStep, withFolder, withOpened } from './stores.js';

// Both steps up and down, by the functions that the commands are made of.

/** The backfill's name. */
export const name = backfillStep.name;

export { asAgentOs as agentOs, type Opened as Connected, withOpened as connected } from './stores.js';

/** Runs `act` on a generated v20 store, after `prepare` has changed it by a connection that is not ours. */
export const withV20 = <Result>(
  options: Omit<StoreOptions, 'path'>,
  act: (at: Opened) => Promise<Result> | Result,
  prepare = '',
): Promise<Result> =>
  withFolder((folder) => {
    const path = join(folder, 'store.db');
    generateStore({ ...options, path });
    asAgentOs(path, (db) => db.exec(prepare));
    return withOpened(path, act);
  });

/** As {@link withV20}, with the schema step applied. */
export const withV21: typeof withV20 = (options, act, prepare) =>
  withV20(
    options,
    (at) => {
      applySchemaStep(at.store, at.ledger, schemaStep);
      return act(at);
    },
    prepare,
  );

export const fill = ({ store, ledger }: Opened, options?: RunOptions): Promise<void> =>
  applyBackfillStep(store, ledger, backfillStep, options);
export const empty = ({ store, ledger }: Opened, options?: RunOptions) =>
  revertBackfillStep(store, ledger, backfillStep, options);

/** The code and message of the error of ours that `act` fails with. */
export async function refusal(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof BackfillError)) throw error;
    return `${error.code}: ${error.message}`;
  }
  throw new Error('Expected a failure');
}
