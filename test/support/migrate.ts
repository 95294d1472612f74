import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { MigratorEvent, Verification } from '../../src/index.js';
import config from '../../umzug-backfill.config.js';
import { bytesOf } from './cli.js';
import type { TestEngine, TestStore, TestStoreOptions } from './engine-sqlite.js';
import { sqliteEngine, sqliteStore } from './engine-sqlite.js';
import {
  commandsOf,
  type Outcome,
  type Project,
  type Extra as ProjectExtra,
  projectOf,
  type Target,
} from './project.js';
import { type Audit, backfillStep, schemaStep, withFolder } from './stores.js';

// The commands on the repository's own project. Each opens the store and closes it again, so that between two of them no
// connection stands, and reading the files drops nobody's locks.

/** One check of a verification. */
export type CheckResult = Verification['checks'][number];

/** The project as its config file has it. */
export const project: Project = { ...projectOf([schemaStep, backfillStep]), config };

/** Name of its backfill. */
export const name = backfillStep.name;

/** What a test may set of a command's options, and of the project. */
export type Extra = ProjectExtra & { readonly project?: Project };

/** A store of either engine, or the path of one of SQLite. */
type Store = string | TestStore;

const at = (store: Store, { project: own = project, ...extra }: Extra = {}) =>
  typeof store === 'string' ? commandsOf(own, { path: store }, extra) : commandsOf(own, store.address, extra);

export const up = (store: Store, extra: Extra = {}, target?: Target) =>
  typeof store !== 'string' && store.up ? store.up(extra) : at(store, extra).up(target);
export const down = (store: Store, target: Target = {}, extra?: Extra) => at(store, extra).down(target);
export const catchUp = (store: Store, extra?: Extra) => at(store, extra).backfill();
export const rescan = (store: Store, extra?: Extra) => at(store, extra).rescan(name);

/** The one backfill's verification, which records nothing. */
export async function verify(store: Store, minCoverage?: number, extra?: Extra): Promise<Verification> {
  return only(await at(store, extra).verify(minCoverage));
}

/** What `status` says of the backfill. */
export async function backfillStatus(store: Store) {
  const { steps, isPending } = await at(store).status();
  const found = steps.find((step) => step.name === name)?.backfill;
  if (!found) throw new Error('Expected the backfill to have been begun');
  return { ...found, isPending };
}

/** The only item of a list. */
export function only<Item>(items: readonly Item[]): Item {
  const [item] = items;
  if (item === undefined || items.length > 1) throw new Error(`Expected one item, got ${items.length}`);
  return item;
}

/** One check of a verification. */
export function checkOf(verification: Verification, id: string): CheckResult {
  return only(verification.checks.filter((check) => check.id === id));
}

/** The verdict of every check that is not `pass`, by its name. */
export const troubles = ({ checks }: Verification): Record<string, string> =>
  Object.fromEntries(checks.flatMap(({ id, verdict }) => (verdict === 'pass' ? [] : [[id, verdict]])));

/** Options under which a command calls `act` right after its k-th event of a kind. */
export function after(k: number, event: MigratorEvent['event'], act: (event: MigratorEvent) => void): Extra {
  let count = 0;
  return {
    onEvent: (happened) => {
      if (happened.event !== event) return;
      count += 1;
      if (count === k) act(happened);
    },
  };
}

/** Options under which a command is stopped after its k-th batch, filled or reverted. */
export function stoppedAfter(k: number, event: MigratorEvent['event'] = 'batch_committed'): Extra {
  const controller = new AbortController();
  return { ...after(k, event, () => controller.abort('SIGTERM')), signal: controller.signal };
}

/** Fills, and ends before the verification, as a kill between the last batch and the verdict would. */
export async function fillOnly(path: string): Promise<void> {
  const outcome = await up(path, {
    onEvent: (told) => {
      if (told.event === 'step_finished' && told.step === name) throw new Error('ended by the test');
    },
  });
  expect(codeOf(outcome)).to.equal('INTERNAL');
  expect(outcome).to.deep.include({ applied: project.steps.map((step) => step.name), verifications: [] });
}

export const source = '2026-01-20T10:00:00Z';
export const processed = '2026-01-20T10:00:01Z';
/** A row of which every check has nothing to say. */
export const plain: Audit = { payload: JSON.stringify({ source_ts: source, timestamp: processed }) };

type Act<Of> = (store: Of) => Promise<void>;

/** Runs `act` on a v20 store of 50 plain rows, five batches; `audits` take the place of the first ones. */
export const onPlainStore = (
  engine: TestEngine,
  act: Act<TestStore>,
  audits: readonly Audit[] = [],
  options: TestStoreOptions = {},
): Promise<void> =>
  engine.withStore(
    { ...options, audits: 0, rows: [...audits, ...Array(50 - audits.length).fill(plain)] },
    act,
  );

/** Bytes of the files that both steps were applied to, by the rows that they began with. */
const applied = new WeakMap<readonly Audit[], Buffer>();
const onlyPlain: readonly Audit[] = [];

/** The same with both steps applied and verified. A file that begins with the rows of an earlier one, the same array, is a copy of it. */
export const onAppliedStore: typeof onPlainStore = (engine, act, audits = onlyPlain, options) => {
  const bytes = options || engine !== sqliteEngine ? undefined : applied.get(audits);
  if (bytes)
    return withFolder(async (folder) => {
      const path = join(folder, 'store.db');
      writeFileSync(path, bytes);
      await act(sqliteStore(path));
    });
  const applyAndAct = async (store: TestStore): Promise<void> => {
    expect(codeOf(await up(store))).to.equal(undefined);
    if (!options && engine === sqliteEngine) applied.set(audits, readFileSync(store.address.path));
    await act(store);
  };
  return onPlainStore(engine, applyAndAct, audits, options);
};

/** Both with the path of a store of SQLite. */
export const withPlainStore = (act: Act<string>, audits?: readonly Audit[], options?: TestStoreOptions) =>
  onPlainStore(sqliteEngine, ({ address }) => act(address.path), audits, options);
export const withAppliedStore: typeof withPlainStore = (act, audits, options) =>
  onAppliedStore(sqliteEngine, ({ address }) => act(address.path), audits, options);

/** Code of the error that ended a command early. */
export const codeOf = ({ error }: Pick<Outcome, 'error'>): string | undefined => error?.code;

/** Insists that `up` has nothing to do, and writes nothing. */
export async function expectIdle(store: Store): Promise<void> {
  const look = async () => (typeof store === 'string' ? bytesOf(store) : await store.traces());
  const before = await look();
  const outcome = await up(store);
  expect(outcome).to.deep.include({ applied: [], caughtUp: [], recreated: [], verifications: [] });
  expect(codeOf(outcome)).to.equal(undefined);
  expect(await look()).to.deep.equal(before);
}
