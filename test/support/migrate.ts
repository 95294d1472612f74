import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { StoreOptions } from '../../demo/store-generator.js';
import type { MigratorEvent, Verification } from '../../src/index.js';
import config from '../../umzug-backfill.config.js';
import {
  commandsOf,
  type Outcome,
  type Project,
  type Extra as ProjectExtra,
  projectOf,
  type Target,
} from './project.js';
import {
  type Audit,
  asAgentOs,
  backfillStep,
  insertAudits,
  schemaStep,
  withGeneratedStore,
} from './stores.js';

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

/** Options of a command. */
export const optionsFor = (path: string, extra: Extra = {}) => ({ project, path, batchRows: 10, ...extra });

/** The commands on one store. */
const at = (path: string, { project: own = project, ...extra }: Extra = {}) =>
  commandsOf(own, { path, postgres: extra.postgres }, extra);

export const up = (path: string, extra?: Extra, target?: Target) => at(path, extra).up(target);

export const down = (path: string, target: Target = {}, extra?: Extra) => at(path, extra).down(target);

export const catchUp = (path: string, extra?: Extra) => at(path, extra).backfill();

export const rescan = (path: string, extra?: Extra) => at(path, extra).rescan(name);

/** The one backfill's verification, which records nothing. */
export async function verify(path: string, minCoverage?: number, extra?: Extra): Promise<Verification> {
  return only(await at(path, extra).verify(minCoverage));
}

/** What `status` says of the backfill. */
export async function backfillStatus(path: string, extra?: Extra) {
  const { steps, isPending } = await at(path, extra).status();
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
export function stoppedAfter(
  k: number,
  event: 'batch_committed' | 'batch_reverted' = 'batch_committed',
): Extra {
  const controller = new AbortController();
  return { ...after(k, event, () => controller.abort('SIGTERM')), signal: controller.signal };
}

/** Fills, and ends before the verification, as a kill between the last batch and the verdict would. */
export async function fillOnly(path: string): Promise<void> {
  const outcome = await up(path, {
    onUmzugEvent: async (event, step) => {
      if (event === 'migrated' && step === name) throw new Error('ended by the test');
    },
  });
  expect(codeOf(outcome)).to.equal('INTERNAL');
  expect(outcome).to.deep.include({ applied: project.steps.map((step) => step.name), verifications: [] });
}

/** Runs SQL on the store, as AgentOS or a person with the sqlite3 shell would. */
export const change = (path: string, sql: string): void => asAgentOs(path, (db) => void db.exec(sql));

/** The first column of a query. */
export const query = <Value>(path: string, sql: string): Value[] =>
  asAgentOs(path, (db) => db.prepare(sql).pluck().all() as Value[]);

/** The bytes of every file of a store that must not change. Only while no connection stands in this process. */
export const bytesOf = (path: string): Record<string, string> =>
  Object.fromEntries(
    ['', '-wal', '-journal'].map((suffix) => {
      try {
        return [suffix, readFileSync(path + suffix, 'latin1')];
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [suffix, 'none'];
        throw error;
      }
    }),
  );

const source = '2026-01-20T10:00:00Z';
export const processed = '2026-01-20T10:00:01Z';
/** A row of which every check has nothing to say. */
export const plain: Audit = { payload: JSON.stringify({ source_ts: source, timestamp: processed }) };

/** Runs `act` on a v20 store of 50 plain rows, five batches; `audits` take the place of the first ones. */
export const withPlainStore = (
  act: (path: string) => Promise<void>,
  audits: readonly Audit[] = [],
  options: Partial<StoreOptions> = {},
): Promise<void> =>
  withGeneratedStore({ ...options, audits: 0 }, (path) => {
    asAgentOs(path, (db) => insertAudits(db, [...audits, ...Array(50 - audits.length).fill(plain)]));
    return act(path);
  });

/** As {@link withPlainStore}, with both steps applied and verified. */
export const withAppliedStore: typeof withPlainStore = (act, audits, options) =>
  withPlainStore(
    async (path) => {
      expect(codeOf(await up(path))).to.equal(undefined);
      await act(path);
    },
    audits,
    options,
  );

/** Code of the error that ended a command early. */
export const codeOf = ({ error }: Pick<Outcome, 'error'>): string | undefined => error?.code;

/** Insists that `up` has nothing to do, and writes nothing. */
export async function expectIdle(path: string): Promise<void> {
  const before = bytesOf(path);
  const outcome = await up(path);
  expect(outcome).to.deep.include({ applied: [], caughtUp: [], remade: [], verifications: [] });
  expect(codeOf(outcome)).to.equal(undefined);
  expect(bytesOf(path)).to.deep.equal(before);
}
