import { expect } from 'chai';
import { describe, it } from 'mocha';
import { bytesOf } from './support/cli.js';
import { readLedger } from './support/ledger.js';
import {
  after,
  backfillStatus,
  catchUp,
  codeOf,
  type Extra,
  expectIdle,
  name,
  only,
  plain,
  rescan,
  stoppedAfter,
  troubles,
  up,
  withAppliedStore,
  withPlainStore,
} from './support/migrate.js';
import { actualCells, expectedCells } from './support/reference.js';
import { type Audit, asAgentOs, change, insertAudits } from './support/stores.js';

const write = (path: string, ...audits: readonly Audit[]): void =>
  asAgentOs(path, (db) => insertAudits(db, audits));

const unreadable: Audit = { payload: '{' };
const valueless: Audit = { payload: null, createdAt: null };

/** Where each run began, how far it goes and what it read. */
const runs = (path: string): unknown[][] =>
  readLedger(path)
    .runs(name)
    .map(({ kind, startKey, watermark, rowsScanned }) => [kind, startKey, watermark, rowsScanned]);

/** What brings rows up to date: `up`, or `backfill` alone. */
const commands: readonly (readonly [
  string,
  (
    path: string,
    extra?: Extra,
  ) => Promise<{ names: readonly string[] } & Awaited<ReturnType<typeof catchUp>>>,
])[] = [
  [
    'up',
    async (path, extra) =>
      up(path, extra).then((outcome) => ({ ...outcome, ran: [], names: outcome.caughtUp })),
  ],
  [
    'backfill',
    async (path, extra) => catchUp(path, extra).then((outcome) => ({ ...outcome, names: outcome.ran })),
  ],
];

for (const [command, run] of commands) {
  describe(`catch-up by ${command}`, () => {
    for (const smallSchema of [false, true]) {
      const keys = smallSchema ? 'without' : 'with';

      it(`fills rows that wait, moves the watermark and verifies, on a table ${keys} AUTOINCREMENT`, () =>
        withAppliedStore(
          async (path) => {
            // More than a batch, and rows that are nothing to it between them.
            const others: readonly Audit[] = [
              { eventType: 'TASK_CREATED' },
              { ...plain, cells: ['own', 'own'] },
            ];
            write(path, ...Array<Audit>(12).fill(plain), ...others, unreadable, valueless, {
              ...plain,
              cells: [null, 'own'],
            });
            write(path, { eventType: 'TASK_CREATED' });
            expect(await backfillStatus(path)).to.include({
              needsCatchUp: true,
              isPending: true,
              watermark: '50',
            });
            const expected = expectedCells(path);

            const outcome = await run(path);
            expect(codeOf(outcome)).to.equal(undefined);
            expect(outcome.names).to.deep.equal([name]);
            expect(only(outcome.verifications).verdict).to.equal('warn');
            expect(actualCells(path)).to.deep.equal(expected);
            expect(runs(path)).to.deep.equal([
              ['first', null, 50n, 50],
              // Behind the watermark where keys grow, else from the first key: 15 rows in scope have a NULL.
              ['catch-up', smallSchema ? null : 50n, 68n, 15],
            ]);
            // The watermark is the last key of all, so that the probe for waiting rows passes what is not in scope.
            expect(await backfillStatus(path)).to.include({
              needsCatchUp: false,
              isPending: false,
              watermark: '68',
            });
            await expectIdle(path);
          },
          [],
          { smallSchema },
        ));

      it(`writes nothing when no row waits, on a table ${keys} AUTOINCREMENT`, () =>
        withAppliedStore(
          async (path) => {
            write(path, { eventType: 'TASK_CREATED' }, { ...plain, cells: ['own', 'own'] });
            const before = bytesOf(path);
            const outcome = await run(path);
            expect(codeOf(outcome)).to.equal(undefined);
            expect(outcome).to.deep.include({ names: [], verifications: [] });
            expect(outcome.size).to.equal(undefined);
            expect(bytesOf(path)).to.deep.equal(before);
          },
          [unreadable, valueless],
          { smallSchema },
        ));

      it(`does not try skips again, on a table ${keys} AUTOINCREMENT`, () =>
        withAppliedStore(
          async (path) => {
            const before = actualCells(path);
            // Their payloads can be read by now, which nobody tells the ledger.
            change(path, `UPDATE task_audits SET payload = '${plain.payload}' WHERE audit_id <= 2`);
            write(path, plain);
            const outcome = await run(path);
            expect(outcome.names).to.deep.equal([name]);
            for (const key of ['1', '2'])
              expect(actualCells(path).get(key), key).to.deep.equal(before.get(key));
            expect(runs(path).at(-1)).to.deep.equal(['catch-up', smallSchema ? null : 50n, 51n, 1]);
            // What stays NULL though it can be filled is a failure, which the rescan mends.
            expect(codeOf(outcome)).to.equal('VERIFICATION_FAILED');
            const mended = await rescan(path);
            expect(troubles(only(mended.verifications))).to.deep.equal({});
            expect(actualCells(path).get('1')).to.deep.equal(actualCells(path).get('50'));
            await expectIdle(path);
          },
          [unreadable, valueless],
          { smallSchema },
        ));
    }

    it('goes on with a catch-up that was stopped', () =>
      withAppliedStore(async (path) => {
        write(path, ...Array<Audit>(35).fill(plain));
        const expected = expectedCells(path);
        expect(codeOf(await run(path, stoppedAfter(2)))).to.equal('TERMINATED');
        expect(await backfillStatus(path)).to.include({
          verdict: 'unverified',
          isPending: true,
          cursor: '70',
        });
        const outcome = await run(path);
        expect(outcome.names).to.deep.equal([name]);
        expect(troubles(only(outcome.verifications))).to.deep.equal({});
        expect(actualCells(path)).to.deep.equal(expected);
        expect(runs(path)).to.have.length(2);
        await expectIdle(path);
      }));

    it('finds keys that were used before, where they can be', () =>
      withAppliedStore(
        async (path) => {
          change(path, 'DELETE FROM task_audits WHERE audit_id IN (7, 49, 50)');
          write(path, plain, { ...plain, key: 7 });
          const expected = expectedCells(path);
          const outcome = await run(path);
          expect(outcome.names).to.deep.equal([name]);
          expect(codeOf(outcome)).to.equal(undefined);
          expect(actualCells(path)).to.deep.equal(expected);
          await expectIdle(path);
        },
        [],
        { smallSchema: true },
      ));

    it('follows a first run on an empty table', () =>
      withPlainStore(async (path) => {
        change(path, 'DELETE FROM task_audits');
        await up(path);
        expect(await backfillStatus(path)).to.include({ watermark: null, needsCatchUp: false });
        // AgentOS may fill its rows by itself by now, and as we would.
        write(path, plain, { ...plain, cells: ['2026-01-20T10:00:00Z', '2026-01-20T10:00:01Z'] });
        const outcome = await run(path);
        expect(outcome.names).to.deep.equal([name]);
        expect(troubles(only(outcome.verifications))).to.deep.equal({});
        await expectIdle(path);
      }));
  });
}

describe('up, while AgentOS writes', () => {
  for (const smallSchema of [false, true]) {
    it(`catches up in the same command what was written between its batches (small schema: ${smallSchema})`, () =>
      withPlainStore(
        async (path) => {
          const outcome = await up(
            path,
            after(3, 'batch_committed', () => write(path, plain, unreadable, plain)),
          );
          expect(codeOf(outcome)).to.equal(undefined);
          expect(outcome.applied).to.include(name);
          expect(troubles(only(outcome.verifications))).to.deep.equal({ coverage: 'warn' });
          expect(actualCells(path)).to.deep.equal(expectedCells(path));
          expect(runs(path).map(([, , watermark]) => watermark)).to.deep.equal([50n, 53n]);
          expect(await backfillStatus(path)).to.include({
            needsCatchUp: false,
            watermark: '53',
            verdict: 'warn',
          });
          await expectIdle(path);
        },
        [],
        { smallSchema },
      ));
  }

  it('leaves to the next one what is written behind its catch-up, and warns of it', () =>
    withPlainStore(async (path) => {
      const onEvent: Extra['onEvent'] = ({ event }) => {
        if (event === 'batches_finished') write(path, plain);
      };
      const outcome = await up(path, { onEvent });
      expect(codeOf(outcome)).to.equal(undefined);
      expect(runs(path)).to.have.length(2);
      expect(troubles(only(outcome.verifications))).to.deep.equal({ coverage: 'warn' });
      expect(await backfillStatus(path)).to.include({ needsCatchUp: true, isPending: true, watermark: '51' });
      expect((await up(path)).caughtUp).to.deep.equal([name]);
      await expectIdle(path);
    }));
});
