import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Backfill } from '../src/backfill/define.js';
import { Helper, scanTogether } from '../src/verification/helper.js';
import { type Verification, verifyBackfill } from '../src/verification/verify.js';
import { change, project, up } from './support/migrate.js';
import { life } from './support/row-by-row.js';
import {
  asAgentOs,
  backfillStep,
  insertAudits,
  type Opened,
  withGeneratedStore,
  withOpened,
} from './support/stores.js';

const NOW_MS = Date.parse('2026-06-01T00:00:00Z');

/** Runs `act` on a store after `up` and some of everything that a check counts. */
async function withLivedStore(
  act: (opened: Opened) => Promise<void>,
  options: { journalMode?: 'wal' | 'delete' } = {},
): Promise<void> {
  await withGeneratedStore({ audits: 3000, rareShare: 0.2, ...options }, async (path) => {
    await up(path);
    change(path, life);
    await withOpened(path, act);
  });
}

/** Starts a helper, runs `before`, then scans with it. */
async function scanWith(
  { path, store, ledger }: Opened,
  theirs: Backfill,
  before: () => void = () => undefined,
): ReturnType<typeof scanTogether> {
  const helper = await Helper.start({ path, backfill: theirs });
  try {
    before();
    return await store.snapshotAcross(() => scanTogether(store, ledger, backfillStep, NOW_MS, helper));
  } finally {
    await helper.close();
  }
}

const scanAlone = async ({ store, ledger }: Opened): ReturnType<typeof scanTogether> =>
  await store.snapshotAcross(() => scanTogether(store, ledger, backfillStep, NOW_MS, undefined));

/** Verifies with a helper, or without. How many threads had a part is for another test. */
async function verifyWith({ store, ledger }: Opened, hasHelper: boolean): Promise<Partial<Verification>> {
  const { durationMs, threads, ...found } = await verifyBackfill(store, ledger, backfillStep, project.steps, {
    now: () => new Date(NOW_MS),
    threadFromBytes: hasHelper ? 0 : Number.POSITIVE_INFINITY,
  });
  expect(durationMs).to.be.at.least(0);
  expect(threads).to.be.at.most(hasHelper ? 2 : 1);
  return found;
}

describe('verification on two threads', () => {
  for (const journalMode of ['wal', 'delete'] as const) {
    it(`finds what one thread finds, whoever reads what (journal mode ${journalMode})`, () =>
      withLivedStore(
        async (opened) => {
          const alone = await verifyWith(opened, false);
          for (let i = 0; i < 5; i += 1) expect(await verifyWith(opened, true)).to.deep.equal(alone);
        },
        { journalMode },
      ));
  }

  it('takes part on the same snapshot', () =>
    withLivedStore(async (opened) => {
      expect((await scanWith(opened, backfillStep)).threads).to.equal(2);
    }));

  it('takes no part when somebody has committed before the snapshot was taken, and misses nothing', () =>
    withLivedStore(async (opened) => {
      const insert = (): void => asAgentOs(opened.path, (db) => insertAudits(db, [{}, { payload: '{' }]));
      const { facts, threads } = await scanWith(opened, backfillStep, insert);
      expect(threads).to.equal(1);
      expect(facts).to.deep.equal((await scanAlone(opened)).facts);
    }));

  it('leaves the whole work to one thread when the other can not even begin', () =>
    withLivedStore(async (opened) => {
      const { facts, threads } = await scanWith({ ...opened, path: `${opened.path}-not` }, backfillStep);
      expect(threads).to.equal(1);
      expect(facts).to.deep.equal((await scanAlone(opened)).facts);
    }));

  it('reads again what the other thread has taken and not read', () =>
    withLivedStore(async (opened) => {
      const broken = { ...backfillStep, checks: { ...backfillStep.checks, groupBy: 'no_such_column' } };
      const { facts, threads } = await scanWith(opened, broken);
      expect(threads).to.equal(1);
      expect(facts).to.deep.equal((await scanAlone(opened)).facts);
    }));

  it('tells the same groups apart when there are too many', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      await up(path);
      const types = Array.from({ length: 30_000 }, (_, i) => ({ eventType: `SUPERVISOR_${i % 6000}` }));
      asAgentOs(path, (db) => insertAudits(db, types));
      await withOpened(path, async (opened) => {
        const alone = await verifyWith(opened, false);
        expect(await verifyWith(opened, true)).to.deep.equal(alone);
        const groups = alone.checks?.find(({ id }) => id === 'groups')?.figures.groups as { total: number }[];
        expect(groups).to.have.length(201);
        expect(groups.reduce((sum, { total }) => sum + total, 0)).to.equal(30_000);
      });
    }));
});
