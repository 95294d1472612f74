import { statSync } from 'node:fs';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, sql, type Verification } from '../src/index.js';
import { numbers } from './support/customers.js';
import { checkOf, only, up } from './support/migrate.js';
import { type OwnTable, withOwnTable } from './support/own-table.js';
import type { Extra, MigratorEvent } from './support/project.js';
import { change, withGeneratedStore } from './support/stores.js';

// A run is followed by a thread that reads the rows of each batch while the next ones are written. What it has found must be what a
// verification finds that reads everything at the end.

const now = (): Date => new Date('2026-06-01T00:00:00Z');

const definition = defineBackfill({
  table: 'items',
  key: 'id',
  scope: `kind <> 'out'`,
  columns: { b: sql('a + 1'), c: sql('upper(kind)') },
  checks: { groupBy: 'kind' },
});

/** So many batches of ten rows that the thread has begun, and has read some, long before the last. */
const ROWS = 6000;
const DDL = `CREATE TABLE items (id INTEGER PRIMARY KEY, kind TEXT, a, b, c);
  ${numbers(ROWS)} INSERT INTO items (id, kind, a) SELECT i, CASE i % 5 WHEN 0 THEN 'out' ELSE 'in' || i % 3 END, i % 7 FROM n`;

/** What was found, whoever has read what and in which time. */
const found = ({ durationMs: _, threads: __, ...rest }: Verification): Partial<Verification> => rest;

/** What happens during a run. */
type Meanwhile = (own: OwnTable, event: MigratorEvent) => void;

/** Runs SQL as another program does, after a batch that comes late. */
const lateChange =
  (text: string): Meanwhile =>
  ({ path }, event) => {
    if (event.event === 'batch_committed' && event.batch === 400) change(path, text);
  };

interface Given {
  readonly ddl?: string;
  readonly definition?: BackfillDefinition;
  readonly meanwhile?: Meanwhile;
  readonly extra?: Extra;
}

/** Fills a store of its own, and returns its verification. */
async function verificationOf(given: Given, isFollowed: boolean, each: (worker: Worker) => void) {
  let result: Verification | undefined;
  await withOwnTable(given.ddl ?? DDL, given.definition ?? definition, async (own) => {
    process.on('worker', each);
    try {
      const { verifications } = await own.up({
        now,
        batchRows: 10,
        // A thread is begun for the run; one for the verification only if most of the store is left to it.
        parallelMinBytes: isFollowed ? statSync(own.path).size : Number.POSITIVE_INFINITY,
        onEvent: (event) => given.meanwhile?.(own, event),
        ...given.extra,
      });
      result = only(verifications);
    } finally {
      process.off('worker', each);
    }
  });
  if (!result) throw new RangeError('A store is verified');
  return result;
}

/**
 * Insists that a run finds the same with a thread behind it as alone.
 *
 * @param each called with each thread that is begun
 * @returns what it finds
 */
async function expectSame(
  given: Given,
  takesOver: boolean,
  each: (worker: Worker) => void = () => undefined,
) {
  const alone = await verificationOf(given, false, () => expect.fail('began a thread'));
  for (let tries = 1; ; tries += 1) {
    let threads = 0;
    const followed = await verificationOf(given, true, (worker) => {
      threads += 1;
      each(worker);
    });
    expect(found(followed)).to.deep.equal(found(alone));
    // On a starved machine the system may refuse a thread, or end it.
    if (takesOver && tries === 3)
      expect({ threads, by: followed.threads }).to.deep.equal({ threads: 1, by: 2 });
    if (!takesOver || (threads === 1 && followed.threads === 2) || tries === 3) return followed;
  }
}

const failedChecks = ({ checks }: Verification): string[] =>
  checks.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id);

describe('a verification during a run', () => {
  it('takes over what the thread has read', async () => {
    const verification = await expectSame({}, true);
    expect(verification.verdict).to.equal('pass');
    expect(checkOf(verification, 'coverage').stats).to.include({ rowsInScope: 4800 });
  });

  it('finds a cell that another program changes after the thread', async () => {
    const meanwhile = lateChange(`UPDATE items SET c = 'other' WHERE id = 12`);
    expect(failedChecks(await expectSame({ meanwhile }, false))).to.include('consistency');
  });

  it('finds a cell that another program changes after the last batch', async () => {
    const meanwhile: Meanwhile = ({ path }, { event }) => {
      if (event === 'batches_finished') change(path, `UPDATE items SET c = 'other' WHERE id = 12`);
    };
    expect(failedChecks(await expectSame({ meanwhile }, false))).to.include('consistency');
  });

  it('judges cells that the application has filled', async () => {
    const ddl = `${DDL}; UPDATE items SET c = 'own' WHERE id IN (3, 1203, 1204); UPDATE items SET b = 99 WHERE id = 2408`;
    const verification = await expectSame({ ddl }, true);
    expect(checkOf(verification, 'consistency').stats).to.include({ written: 4 });
  });

  it('reads everything when a trigger may change rows of an earlier batch', async () => {
    const ddl = `${DDL}; CREATE TRIGGER back AFTER UPDATE OF c ON items WHEN new.id > 5000 BEGIN
      UPDATE items SET c = 'back' WHERE id = new.id - 4990; END`;
    const given = { ddl, extra: { allowTriggers: true } };
    expect(failedChecks(await expectSame(given, false))).to.include('consistency');
  });

  for (const [how, value] of [
    ['a subquery', '(SELECT count(o.b) FROM items AS o WHERE o.id > 5990)'],
    ['a subquery on lines of its own', '(\n\tSELECT count(o.b) FROM items AS o WHERE o.id > 5990\n)'],
    ['a view', '(1 IN late)'],
  ] as const)
    it(`reads everything when a value may depend on rows of another batch: ${how}`, async () => {
      const columns = { b: sql(`CASE WHEN id > 3000 THEN 0 ELSE ${value} END`) };
      const of = defineBackfill({ table: 'items', key: 'id', columns });
      const ddl = `${DDL}; CREATE VIEW late AS SELECT 1 FROM items WHERE id > 5990 AND b IS NOT NULL`;
      expect(failedChecks(await expectSame({ ddl, definition: of }, false))).to.include('consistency');
    });

  it('never takes its own thread for a program that pins the WAL', async () => {
    const told: string[] = [];
    const meanwhile: Meanwhile = (_, { event }) => void told.push(event);
    const ddl = `${DDL}; UPDATE items SET kind = 'out' WHERE id BETWEEN 500 AND 5000`;
    await expectSame({ ddl, meanwhile, extra: { walLimitBytes: 1, walWaitMs: 0 } }, true);
    expect(told).to.not.include('wal_pinned');
  });

  it('reads everything when the thread ends', async () => {
    const verification = await expectSame(
      {},
      false,
      (worker) => void setTimeout(() => worker.terminate(), 50),
    );
    expect(verification.verdict).to.equal('pass');
  });

  it('counts groups as one scan does when there are too many', async () => {
    const ddl = `${DDL}; UPDATE items SET kind = 'in' || (9999 - id % 5500)`;
    await expectSame({ ddl }, false);
  });

  it('judges times that lie ahead by the time of the verification', async () => {
    const ddl = `${DDL}; UPDATE items SET a = '2026-06-01T00:00:0' || (id % 10) || 'Z'; UPDATE items SET a = '2090-01-01T00:00:00Z' WHERE id IN (7, 900)`;
    const of = defineBackfill({
      ...{ table: 'items', key: 'id', columns: { b: sql('a'), c: sql('a') } },
      checks: { timestamps: true, lag: { from: 'b', to: 'c' } },
    });
    let hasEnded = false;
    const meanwhile: Meanwhile = (_, { event }) => {
      if (event === 'batches_finished') hasEnded = true;
      if (event === 'verified') hasEnded = false;
    };
    const extra = { now: () => (hasEnded ? new Date('2095-01-01T00:00:00Z') : now()) };
    const verification = await expectSame({ ddl, definition: of, meanwhile, extra }, false);
    expect(checkOf(verification, 'timestamps').verdict).to.equal('pass');
  });

  it('finds the same of payloads in any form', async () => {
    const results: Partial<Verification>[] = [];
    for (const parallelMinBytes of [0, Number.POSITIVE_INFINITY])
      await withGeneratedStore({ audits: 20_000, rareShare: 0.5 }, async (path) => {
        const { verifications } = await up(path, { now, batchRows: 100, parallelMinBytes });
        results.push(found(only(verifications)));
      });
    expect(results[0]).to.deep.equal(results[1]);
  });

  it('finds the same of a run that was stopped and goes on', async () => {
    const result: Partial<Verification>[] = [];
    for (const parallelMinBytes of [0, Number.POSITIVE_INFINITY])
      await withOwnTable(DDL, definition, async (own) => {
        const extra = { now, batchRows: 10, parallelMinBytes };
        const halt = new AbortController();
        const onEvent = (event: MigratorEvent): void => {
          if (event.event === 'batch_committed' && event.batch === 100) halt.abort('SIGTERM');
        };
        await own.up({ ...extra, signal: halt.signal, onEvent }).catch(() => undefined);
        change(own.path, `UPDATE items SET c = 'other' WHERE id = 12`);
        result.push(found(only((await own.up(extra)).verifications)));
      });
    expect(result[0]).to.deep.equal(result[1]);
    expect((result[0] as Verification).verdict).to.equal('fail');
  });
});
