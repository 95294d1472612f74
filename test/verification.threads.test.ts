import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { defineBackfill, sql, type Verification } from '../src/index.js';
import { numbers } from './support/customers.js';
import { checkOf, only, up, verify } from './support/migrate.js';
import { withOwnTable } from './support/own-table.js';
import type { Extra } from './support/project.js';
import { life } from './support/row-by-row.js';
import { asAgentOs, change, insertAudits, withGeneratedStore } from './support/stores.js';

const now = (): Date => new Date('2026-06-01T00:00:00Z');
const alone: Extra = { now, parallelMinBytes: Number.POSITIVE_INFINITY };
const helped: Extra = { now, parallelMinBytes: 0 };

/** Runs `act` on a store after `up` and some of everything that a check counts. */
const withLivedStore = (
  act: (path: string) => Promise<void>,
  options: { journalMode?: 'wal' | 'delete' } = {},
): Promise<void> =>
  withGeneratedStore({ audits: 3000, rareShare: 0.2, ...options }, async (path) => {
    await up(path);
    change(path, life);
    await act(path);
  });

/** What a verification has found, whoever has read what and in which time. */
const found = ({ durationMs, threads: _, ...rest }: Verification): Partial<Verification> => {
  expect(durationMs).to.be.at.least(0);
  return rest;
};

/** Calls `act` with the second thread when that has looked at the store, before it is given work. */
async function whenReady<Result>(
  act: (helper: Worker) => void,
  verifying: () => Promise<Result>,
): Promise<Result> {
  let helpers = 0;
  const listen = (helper: Worker): void => {
    helpers += 1;
    helper.once('message', () => act(helper));
  };
  process.on('worker', listen);
  try {
    return await verifying();
  } finally {
    process.off('worker', listen);
    expect(helpers, 'threads begun').to.equal(1);
  }
}

describe('verification on two threads', () => {
  for (const journalMode of ['wal', 'delete'] as const) {
    it(`finds what one thread finds, whoever reads what (journal mode ${journalMode})`, () =>
      withLivedStore(
        async (path) => {
          const one = await verify(path, undefined, alone);
          expect(one.threads).to.equal(1);
          for (let i = 0; i < 5; i += 1)
            expect(found(await verify(path, undefined, helped))).to.deep.equal(found(one));
        },
        { journalMode },
      ));
  }

  it('takes part on the same snapshot', () =>
    withLivedStore(async (path) => {
      expect((await verify(path, undefined, helped)).threads).to.equal(2);
    }));

  it('takes no part when somebody has committed before the snapshot was taken, and misses nothing', () =>
    withLivedStore(async (path) => {
      const insert = (): void => asAgentOs(path, (db) => insertAudits(db, [{}, { payload: '{' }]));
      const verification = await whenReady(insert, () => verify(path, undefined, helped));
      expect(verification.threads).to.equal(1);
      expect(found(verification)).to.deep.equal(found(await verify(path, undefined, alone)));
    }));

  it('leaves the whole work to one thread when the other ends before it begins', () =>
    withLivedStore(async (path) => {
      const verification = await whenReady(
        (helper) => void helper.terminate(),
        () => verify(path, undefined, helped),
      );
      expect(verification.threads).to.equal(1);
      expect(found(verification)).to.deep.equal(found(await verify(path, undefined, alone)));
    }));

  // Two rows take long to read: the first thread is at the one while the other takes its share, and comes to the other.
  const slow = (count: number): string =>
    `(WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) SELECT count(*) FROM n)`;

  it('reads again what the other thread has taken and not read', () => {
    const definition = defineBackfill({
      table: 'items',
      key: 'id',
      scope: `CASE id WHEN 1 THEN ${slow(400_000)} WHEN 64 THEN ${slow(2_000_000)} ELSE 1 END`,
      columns: { b: sql('upper(a)') },
    });
    const ddl = `CREATE TABLE items (id INTEGER PRIMARY KEY, a TEXT, b TEXT); 
      ${numbers(128)} INSERT INTO items (a) SELECT 'row ' || i FROM n`;
    return withOwnTable(ddl, definition, async (own) => {
      expect((await own.up()).error).to.equal(undefined);
      const one = found(only(await own.verify(alone)));
      // The first thread does not come back to the event loop before it waits for the other: at the slower row, where it has not come to that
      // itself, as it does where the other begins late.
      const end = (helper: Worker): void => void setImmediate(() => helper.terminate());
      const verification = async (): Promise<Verification> =>
        only(await whenReady(end, () => own.verify(helped)));
      let last = await verification();
      for (let tries = 1; last.threads === 2 && tries < 20; tries += 1) last = await verification();
      expect(last.threads).to.equal(1);
      expect(checkOf(last, 'coverage').stats).to.include({ rowsInScope: 128 });
      expect(found(last)).to.deep.equal(one);
    });
  });

  it('tells the same groups apart when there are too many', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      await up(path);
      // The first ones come again at the end, when each thread has told too many others apart.
      const types = Array.from({ length: 30_000 }, (_, i) => ({
        eventType: `SUPERVISOR_${i < 26_000 ? i : i % 200}`,
      }));
      asAgentOs(path, (db) => insertAudits(db, types));
      const one = await verify(path, undefined, alone);
      expect(found(await verify(path, undefined, helped))).to.deep.equal(found(one));
      const groups = checkOf(one, 'groups').stats.groups as { total: number }[];
      expect(groups).to.have.length(201);
      expect(groups.reduce((sum, { total }) => sum + total, 0)).to.equal(30_000);
    }));

  // Few groups and times, for many ties; each row takes a while, so that both threads have their share.
  it('finds the same of any rows', () => {
    const definition = defineBackfill({
      table: 'items',
      key: 'id',
      scope: slow(300),
      columns: { b: sql('a'), c: sql('a') },
      checks: { groupBy: 'kind', timestamps: true, lag: { from: 'b', to: 'c' } },
    });
    const time = fc.constantFrom(
      ...['2026-01-20T10:00:00Z', '2026-01-20 10:00:00', '2026-01-20T12:00:00.5+02:00', '1768903201'],
      ...['2090-01-01T00:00:00Z', 'soon', null],
    );
    const row = fc.record({ kind: fc.constantFrom('x', 'y', 'z'), a: time, b: time, c: time });
    const ddl = 'CREATE TABLE items (id INTEGER PRIMARY KEY, kind TEXT, a TEXT, b TEXT, c TEXT)';
    return withOwnTable(ddl, definition, async (own) => {
      await own.up();
      await fc.assert(
        fc.asyncProperty(fc.array(row, { minLength: 100, maxLength: 300 }), async (rows) => {
          asAgentOs(own.path, (db) => {
            db.exec('DELETE FROM items');
            const insert = db.prepare('INSERT INTO items VALUES (?, ?, ?, ?, ?)');
            db.transaction(() =>
              rows.forEach(({ kind, a, b, c }, i) => void insert.run(i - 40, kind, a, b, c)),
            )();
          });
          const both = only(await own.verify(helped));
          expect(both.threads).to.equal(2);
          expect(found(both)).to.deep.equal(found(only(await own.verify(alone))));
        }),
        { numRuns: 25 },
      );
    });
  });
});
