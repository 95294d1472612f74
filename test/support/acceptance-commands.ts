import { expect } from 'chai';
import * as command from './migrate.js';
import type { Audit } from './stores.js';
import type { TestEngine, TestStore, TestStoreOptions } from './test-store.js';

// The migrator's commands on a store of either engine.

type Extra = command.Extra;

const extraOf = ({ address: { postgres } }: TestStore, extra: Extra = {}): Extra => ({
  pace: 'full',
  ...(postgres ? { postgres } : {}),
  ...extra,
});

export const up = (store: TestStore, extra?: Extra) => command.up(store.address.path, extraOf(store, extra));
export const down = (store: TestStore, target?: Parameters<typeof command.down>[1], extra?: Extra) =>
  command.down(store.address.path, target, extraOf(store, extra));
export const catchUp = (store: TestStore, extra?: Extra) =>
  command.catchUp(store.address.path, extraOf(store, extra));
export const rescan = (store: TestStore, extra?: Extra) =>
  command.rescan(store.address.path, extraOf(store, extra));
export const verify = (store: TestStore, minCoverage?: number) =>
  command.verify(store.address.path, minCoverage, extraOf(store));

export const backfillStatus = (store: TestStore) =>
  command.backfillStatus(store.address.path, extraOf(store));

/** Insists that `up` has nothing to do, and writes nothing. */
export async function expectIdle(store: TestStore): Promise<void> {
  const before = await store.traces();
  const outcome = await up(store);
  expect(outcome).to.deep.include({ applied: [], caughtUp: [], remade: [], verifications: [] });
  expect(command.codeOf(outcome)).to.equal(undefined);
  expect(await store.traces()).to.deep.equal(before);
}

/** Runs `act` on a v20 store of 50 plain rows, five batches; `audits` take the place of the first ones. */
export const withPlainStore = (
  engine: TestEngine,
  act: (store: TestStore) => Promise<void>,
  audits: readonly Audit[] = [],
  options: TestStoreOptions = {},
): Promise<void> =>
  engine.withStore(
    {
      ...options,
      audits: 0,
      rows: [...audits, ...Array<Audit>(50 - audits.length).fill(command.plain)],
    },
    act,
  );

/** As {@link withPlainStore}, with both steps applied and verified. */
export const withAppliedStore: typeof withPlainStore = (engine, act, audits, options) =>
  withPlainStore(
    engine,
    async (store) => {
      expect(command.codeOf(await up(store))).to.equal(undefined);
      await act(store);
    },
    audits,
    options,
  );
