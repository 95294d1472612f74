import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type { CliResult } from '../support/cli.js';
import { differences } from '../support/expect-same.js';
import { ended, pausedAt } from '../support/pause.js';
import { expectPgLedger, lasting, wholePgStore } from '../support/postgres-ledger.js';
import {
  argsOn,
  downOn,
  holdBack,
  MANY,
  OURS,
  runOn,
  start,
  until,
  untilFound,
  useCopies,
  V21,
} from '../support/postgres-runs.js';
import { column, needServer, type TestDatabase } from '../support/postgres-server.js';
import { actualPgCells } from '../support/postgres-stores.js';
import type { Cells } from '../support/reference.js';
import { backfillStep, schemaStep } from '../support/stores.js';

// Several processes fill one database together.

const OPEN_RANGES = 'SELECT number FROM umzug_backfill_ranges WHERE is_done = 0';

describe('a run of PostgreSQL that several processes share', () => {
  const onCopy = useCopies(MANY);
  const onV21 = useCopies({ ...MANY, ...V21 });
  let whole: Awaited<ReturnType<typeof lasting>> = {};
  let original: Map<string, Cells> = new Map();

  before(async function () {
    needServer(this);
    await onV21(async ({ url, client }) => {
      original = await actualPgCells(client);
      await runOn(url, 'up');
      whole = await lasting(client);
      const ranges = await column(client, 'SELECT number FROM umzug_backfill_ranges');
      expect(ranges.length).to.be.within(5, 70);
    });
  });

  /** Insists that the database is as an uninterrupted `up` of one process leaves it, and verified once. */
  async function expectWhole({ client }: TestDatabase): Promise<void> {
    expect(differences(await lasting(client), whole)).to.deep.equal([]);
    await expectPgLedger(client, original);
    expect(await column(client, OPEN_RANGES)).to.deep.equal([]);
    expect(await column(client, 'SELECT verdict FROM umzug_backfill_verifications')).to.deep.equal(['warn']);
    expect(await column(client, `SELECT 1 ${OURS}`), 'connections that are left').to.deep.equal([]);
  }

  /** What each process says that it did; all must have ended well. */
  const doneBy = (results: readonly CliResult[]): { applied: string[]; joined: string[] }[] =>
    results.map((result) => {
      expect(result.code, result.stdout + result.stderr).to.equal(0);
      return result.json();
    });

  it('is filled by the workers of one command', () =>
    onV21(async (copy) => {
      const release = await holdBack(copy);
      const { result } = start(argsOn(copy.url, 'up', '--workers', '3'));
      await release(3);
      const { code, stdout, stderr } = await result;
      expect(code, stdout + stderr).to.equal(0);
      await expectWhole(copy);
    }));

  it('is filled by three commands that start at once, and verified once', () =>
    onCopy(async (copy) => {
      const running = [1, 2, 3].map(() => start(argsOn(copy.url, 'up', '--json')));
      const done = doneBy(await Promise.all(running.map(({ result }) => result)));
      // Whoever is behind the last batch first finishes the step: more than one may say so.
      const applied = new Set(done.flatMap((one) => one.applied));
      expect([...applied].sort()).to.deep.equal([schemaStep.name, backfillStep.name]);
      await expectWhole(copy);
    }));

  it('is taken part in by commands that find it under way', () =>
    onV21(async (copy) => {
      const release = await holdBack(copy);
      const running = [1, 2, 3].map(() => start(argsOn(copy.url, 'up', '--json')));
      await release(3);
      const done = doneBy(await Promise.all(running.map(({ result }) => result)));
      const told = done.map(({ applied, joined }) => [...new Set([...applied, ...joined])]);
      expect(told).to.deep.equal([1, 2, 3].map(() => [backfillStep.name]));
      expect(done.flatMap(({ joined }) => joined)).to.have.length(2);
      await expectWhole(copy);
    }));

  it('is taken back exactly, whoever filled it', () =>
    onCopy(async ({ url, client }) => {
      const before = await wholePgStore(client);
      await Promise.all([runOn(url, 'up', '--workers', '2'), runOn(url, 'up')]);
      await downOn(url);
      expect(differences(await wholePgStore(client), before)).to.deep.equal([]);
    }));

  it('is gone on with by others when whoever leads it is killed', () =>
    onCopy(async (copy) => {
      let joined: ReturnType<typeof start> | undefined;
      const point = { at: 'statement', detail: 'WITH read_rows', nth: 3 };
      const killed = await pausedAt(argsOn(copy.url, 'up'), point, async (leader) => {
        joined = start(argsOn(copy.url, 'up', '--json'));
        await untilFound(copy.client, `SELECT 1 FROM umzug_backfill_batches OFFSET 20`);
        expect(await column(copy.client, 'SELECT 1 FROM umzug_backfill_verifications')).to.deep.equal([]);
        const gone = ended(leader);
        leader.kill('SIGKILL');
        await gone;
      });
      expect(killed.signal).to.equal('SIGKILL');
      const [done] = doneBy([await (joined?.result as Promise<CliResult>)]);
      expect(done).to.deep.include({ applied: [backfillStep.name], joined: [backfillStep.name] });
      await expectWhole(copy);
    }));

  it('gets the range of a worker that dies at once, and leaves its batch to another', () =>
    onCopy(async (copy) => {
      const { url, client } = copy;
      let other: ReturnType<typeof start> | undefined;
      let freedMs = Number.POSITIVE_INFINITY;
      // It stands still in the transaction of its batch, all the rest is done without it.
      const point = { at: 'statement', detail: 'WITH read_rows', nth: 5 };
      await pausedAt(argsOn(url, 'up'), point, async (child) => {
        other = start(argsOn(url, 'up', '--json'));
        await until(
          'all other ranges to be done',
          async () => (await column(client, OPEN_RANGES)).length === 1,
        );
        const gone = ended(child);
        child.kill('SIGKILL');
        const killedAtMs = performance.now();
        await until(
          'the last range to be done',
          async () => (await column(client, OPEN_RANGES)).length === 0,
        );
        freedMs = performance.now() - killedAtMs;
        await gone;
      });
      expect(freedMs, 'milliseconds until its range is done').to.be.below(2000);
      doneBy([await (other?.result as Promise<CliResult>)]);
      await expectWhole(copy);
    }));
});
