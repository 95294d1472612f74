import { expect } from 'chai';
import { describe, it } from 'mocha';
import { catchUp, isWaiting, runAgain } from '../src/backfill/runner.js';
import type { BatchRecord } from '../src/ledger/records.js';
import { actualCells, expectedCells, expectedSkips } from './support/reference.js';
import {
  afterBatch,
  agentOs,
  type Connected,
  changedCells,
  connected,
  failure,
  fill,
  ledgerCells,
  name,
  refusal,
  stoppedAfter,
  withV21,
} from './support/run-up.js';
import { backfillStep, dumpTable } from './support/stores.js';

// Many rare payloads, so that batches begin and end at rows that are skipped, too.
const options = { audits: 60, rareShare: 0.3 };
const batchRows = 7;

const withoutTimes = (batches: readonly BatchRecord[]): unknown[] =>
  batches.map(({ durationMs: _, ...batch }) => batch);

/** All that a run leaves behind, but for the clock. */
const outcome = ({ path, ledger }: Connected): unknown => ({
  table: dumpTable(path, 'task_audits'),
  batches: withoutTimes(ledger.batches(name)),
  runs: ledger
    .runs(name)
    .map(({ startedAt: _, filledAt, ...run }) => ({ ...run, hasEnded: filledAt !== null })),
  cells: ledgerCells(ledger),
  skips: ledger.skips(name),
  status: ledger.step(name)?.status,
});

const uninterrupted = (): Promise<{ end: unknown; batches: number }> =>
  withV21(options, async (at) => {
    await fill(at, { batchRows });
    return { end: outcome(at), batches: at.ledger.batches(name).length };
  });

/** Lets AgentOS write supervisor events, with these keys or, for null, with the next ones. */
function writeAudits(
  path: string,
  keys: readonly (number | bigint | null)[],
  payload = '{"source_ts":"s"}',
): void {
  agentOs(path, (db) => {
    const hasTask = db.prepare(`SELECT 1 FROM pragma_table_info('task_audits') WHERE name = 'task_id'`).get();
    const insert = db.prepare(
      `INSERT INTO task_audits (audit_id, event_type, payload, created_at${hasTask ? ', task_id' : ''})
      VALUES (?, 'SUPERVISOR_PAUSED', ?, '2026-02-01 10:00:00'${hasTask ? `, 'task_000000'` : ''})`,
    );
    for (const key of keys) insert.run(key, payload);
  });
}
const written = ['s', '2026-02-01 10:00:00'];

const waits = ({ store, ledger }: Connected): boolean => isWaiting(store, ledger, backfillStep);
const catchUpOn = ({ store, ledger }: Connected, runOptions = {}): Promise<boolean> =>
  catchUp(store, ledger, backfillStep, { batchRows, ...runOptions });
const rescan = ({ store, ledger }: Connected): Promise<void> =>
  runAgain(store, ledger, backfillStep, 'rescan', { batchRows });

describe('applyBackfillStep, stopped', () => {
  it('ends as an uninterrupted run does, whatever batch it is stopped after', async () => {
    const whole = await uninterrupted();
    expect(whole.batches).to.be.greaterThan(4);
    for (let k = 1; k < whole.batches; k += 1) {
      await withV21(options, async (at) => {
        const [before, expected] = [actualCells(at.path), expectedCells(at.path)];
        expect(await refusal(() => fill(at, stoppedAfter(k, batchRows)))).to.match(/^TERMINATED/);
        expect(at.ledger.batches(name)).to.have.length(k);
        expect(at.ledger.step(name)?.status).to.equal('applying');

        await fill(at, { batchRows });
        const numbers = at.ledger.batches(name).map(({ number }) => number);
        expect(numbers).to.deep.equal(Array.from({ length: whole.batches }, (_, i) => i + 1));
        const cells = ledgerCells(at.ledger);
        expect(new Set(cells).size, 'each cell once').to.equal(cells.length);
        expect(cells).to.have.members(changedCells(before, actualCells(at.path)));
        expect(actualCells(at.path)).to.deep.equal(expected);
        expect(outcome(at)).to.deep.equal(whole.end);
      });
    }
  });

  it('ends as an uninterrupted run does when it is thrown out of its loop, even after the last batch', async () => {
    const whole = await uninterrupted();
    for (let k = 1; k <= whole.batches; k += 1) {
      await withV21(options, async (at) => {
        const expected = expectedCells(at.path);
        const thrown = new Error('thrown by the caller');
        const throwing = afterBatch(k, batchRows, () => {
          throw thrown;
        });
        expect(await failure(() => fill(at, throwing))).to.equal(thrown);
        // A connection of its own, as a new process has: nothing is known but what the store says.
        await connected(at.path, (next) => fill(next, { batchRows }));
        expect(actualCells(at.path)).to.deep.equal(expected);
        expect(outcome(at)).to.deep.equal(whole.end);
      });
    }
  });

  it('names the signal that has stopped it, and does no batch when it is stopped already', () =>
    withV21(options, async (at) => {
      const signal = AbortSignal.abort('SIGINT');
      expect(await refusal(() => fill(at, { batchRows, signal }))).to.match(
        /^INTERRUPTED: Stopped by SIGINT/,
      );
      expect(at.ledger.batches(name)).to.deep.equal([]);
    }));

  it('resumes with another batch size, over keys at both ends of the range', () =>
    withV21({ audits: 0, smallSchema: true }, async (at) => {
      const [least, greatest] = [-(2n ** 63n), 2n ** 63n - 1n];
      // A distance beyond 2^53 ends a batch early, whatever its size.
      writeAudits(at.path, [least, least + 1n, -1n, 0n, 1n, 2n ** 53n, 2n ** 53n + 1n, greatest]);
      const expected = expectedCells(at.path);
      expect(await refusal(() => fill(at, stoppedAfter(2, 1)))).to.match(/^TERMINATED/);
      await fill(at, { batchRows: 4 });
      expect(actualCells(at.path)).to.deep.equal(expected);
      expect(ledgerCells(at.ledger)).to.have.members(changedCells(new Map(), actualCells(at.path)));
    }));

  it('refuses to go on when another process has moved the cursor, and rolls its batch back', () =>
    withV21(options, async (at) => {
      let atRival: string[] = [];
      const rivalled = afterBatch(2, batchRows, () => {
        agentOs(at.path, (db) => db.exec('UPDATE umzug_backfill_runs SET cursor = cursor + 1'));
        atRival = dumpTable(at.path, 'task_audits');
      });
      expect(await refusal(() => fill(at, rivalled))).to.match(/^RUN_CONFLICT/);
      expect(dumpTable(at.path, 'task_audits')).to.deep.equal(atRival);
      expect(at.ledger.batches(name)).to.have.length(2);
      expect(at.ledger.lastRun(name)).to.include({ status: 'running', batches: 2 });
    }));

  it('catches up, at its end, rows that were written between its batches', () =>
    withV21(options, async (at) => {
      await fill(
        at,
        afterBatch(3, batchRows, () => writeAudits(at.path, [null, null])),
      );
      const runs = at.ledger.runs(name).map(({ kind, watermark }) => [kind, watermark]);
      expect(runs).to.deep.equal([
        ['first', 60n],
        ['catch-up', 62n],
      ]);
      expect(actualCells(at.path).get('62')).to.deep.equal(written);
      expect(waits(at)).to.equal(false);
    }));
});

describe('catchUp', () => {
  it('fills rows behind the watermark and reads no others', () =>
    withV21(options, async (at) => {
      await fill(at, { batchRows });
      expect(at.ledger.skips(name)).not.to.deep.equal([]);
      const first = withoutTimes(at.ledger.batches(name));
      expect(waits(at)).to.equal(false);
      writeAudits(at.path, [null, 100, 101]);
      const expected = expectedCells(at.path);
      expect(waits(at)).to.equal(true);

      expect(await catchUpOn(at)).to.equal(true);
      expect(waits(at)).to.equal(false);
      expect(actualCells(at.path)).to.deep.equal(expected);
      // The skips of the first run are behind its cursor: they are not read again.
      const run = { kind: 'catch-up', status: 'filled', startKey: 60n, watermark: 101n, rowsScanned: 3 };
      expect(at.ledger.lastRun(name)).to.include(run);
      expect(withoutTimes(at.ledger.batches(name)).slice(0, first.length)).to.deep.equal(first);
    }));

  for (const smallSchema of [false, true]) {
    it(`writes nothing when no row waits, though skips have NULLs${smallSchema ? ' (no AUTOINCREMENT)' : ''}`, () =>
      withV21({ ...options, smallSchema }, async (at) => {
        await fill(at, { batchRows });
        const skips = new Set(at.ledger.skips(name).map(({ key }) => String(key)));
        expect(skips.size).to.be.greaterThan(0);
        const end = outcome(at);
        const changes = () => at.store.get<{ n: number }>('SELECT total_changes() AS n')?.n;
        const before = changes();
        expect(waits(at)).to.equal(false);
        expect(await catchUpOn(at)).to.equal(false);
        expect(changes()).to.equal(before);
        expect(outcome(at)).to.deep.equal(end);
      }));
  }

  it('is resumed when it was stopped half way, then catches up what was written since', () =>
    withV21(options, async (at) => {
      await fill(at, { batchRows });
      writeAudits(at.path, Array(20).fill(null));
      expect(await refusal(() => catchUpOn(at, stoppedAfter(1, batchRows)))).to.match(/^TERMINATED/);
      expect(at.ledger.lastRun(name)).to.include({ kind: 'catch-up', status: 'running', batches: 1 });
      writeAudits(at.path, [null]);
      const expected = expectedCells(at.path);

      expect(await catchUpOn(at)).to.equal(true);
      const runs = at.ledger.runs(name).map(({ kind, status, rowsScanned }) => [kind, status, rowsScanned]);
      expect(runs.slice(1)).to.deep.equal([
        ['catch-up', 'filled', 20],
        ['catch-up', 'filled', 1],
      ]);
      expect(actualCells(at.path)).to.deep.equal(expected);
      const cells = ledgerCells(at.ledger);
      expect(new Set(cells).size).to.equal(cells.length);
      expect(await catchUpOn(at)).to.equal(false);
    }));

  it('leaves rows with smaller keys to a rescan where keys are known to grow', () =>
    withV21({ ...options, rareShare: 0 }, async (at) => {
      await fill(at, { batchRows });
      writeAudits(at.path, [-5, 0]);
      expect([waits(at), await catchUpOn(at)]).to.deep.equal([false, false]);
      expect(actualCells(at.path).get('0')).to.deep.equal([null, null]);
      await rescan(at);
      for (const key of ['-5', '0']) expect(actualCells(at.path).get(key)).to.deep.equal(written);
      expect(at.ledger.lastRun(name)).to.include({ kind: 'rescan', startKey: null, rowsScanned: 2 });
    }));

  it('finds rows with smaller keys where keys are not known to grow', () =>
    withV21({ ...options, smallSchema: true }, async (at) => {
      await fill(at, { batchRows });
      writeAudits(at.path, [-5, 0]);
      const expected = expectedCells(at.path);
      expect([waits(at), await catchUpOn(at), waits(at)]).to.deep.equal([true, true, false]);
      expect(actualCells(at.path)).to.deep.equal(expected);
    }));
});

describe('runAgain', () => {
  it('tries skips again in a rescan: what was mended is filled, and its skip forgotten', () =>
    withV21(options, async (at) => {
      const wanted = expectedSkips(at.path);
      await fill(at, { batchRows });
      const keys = () => [...new Set(at.ledger.skips(name).map(({ key }) => String(key)))];
      expect(keys()).to.deep.equal([...wanted.keys()]);
      const [mended = ''] = keys();
      agentOs(at.path, (db) =>
        db
          .prepare(`UPDATE task_audits SET payload = '{"source_ts":"s","timestamp":"t"}' WHERE audit_id = ?`)
          .run(mended),
      );
      expect(waits(at)).to.equal(false);
      await rescan(at);
      expect(actualCells(at.path).get(mended)).to.deep.equal(['s', 't']);
      expect(keys()).to.deep.equal([...wanted.keys()].filter((key) => key !== mended));
      // A skip that stands is recorded by the batch that tried it last, and once.
      const numbers = at.ledger
        .batches(name)
        .filter(({ run }) => run === 2)
        .map(({ number }) => number);
      expect([...at.ledger.skipsByBatch(name).keys()].every((number) => numbers.includes(number))).to.equal(
        true,
      );
    }));
});
