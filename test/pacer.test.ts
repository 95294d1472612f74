import { expect } from 'chai';
import { describe, it } from 'mocha';
import { useConnections } from './support/connection.js';
import { readLedger } from './support/ledger.js';
import { codeOf, type Extra, name, up } from './support/migrate.js';
import type { MigratorEvent } from './support/project.js';
import { actualCells, expectedCells } from './support/reference.js';
import { schemaStep, withGeneratedStore } from './support/stores.js';

// A reader with an open transaction keeps the WAL from beginning anew: it grows with each batch.

const tight = { batchRows: 100, walLimitBytes: 300_000, backup: false } as const;

/** Runs `act` on a store whose columns are there and empty. */
const withColumns = (act: (path: string) => Promise<void>): Promise<void> =>
  withGeneratedStore({ audits: 3000 }, async (path) => {
    expect(codeOf(await up(path, { backup: false }, { to: schemaStep.name }))).to.equal(undefined);
    await act(path);
  });

/** Keeps the kinds of events that a command tells, and acts on each. */
function heard(act: (event: MigratorEvent['event']) => void = () => undefined) {
  const events: MigratorEvent['event'][] = [];
  const onEvent: NonNullable<Extra['onEvent']> = ({ event }) => {
    events.push(event);
    act(event);
  };
  return { events, onEvent };
}

function expectFilled(path: string): void {
  expect(actualCells(path)).to.deep.equal(expectedCells(path));
}

describe('a run beside others', () => {
  const connect = useConnections();

  /** What pins the WAL: a snapshot that another process holds. */
  const pinned = async (path: string) => {
    const reader = await connect(path);
    await reader.run(
      'BEGIN; SELECT count(*) FROM task_audits; CREATE TEMP TABLE held AS SELECT 1 FROM task_audits LIMIT 1',
    );
    return reader;
  };

  for (const [how, parallelMinBytes] of [
    ['one thread', Number.POSITIVE_INFINITY],
    ['two threads', 0],
  ] as const) {
    it(`stops with WAL_PINNED when a reader pins the WAL at its limit, and keeps what is committed (${how})`, () =>
      withColumns(async (path) => {
        const reader = await pinned(path);
        const { events, onEvent } = heard();
        const { error } = await up(path, { ...tight, parallelMinBytes, walWaitMs: 0, onEvent });
        expect(error?.code).to.equal('WAL_PINNED');
        expect(events.filter((event) => event === 'wal_pinned')).to.have.length(1);
        const done = readLedger(path).batches(name).length;
        expect(done).to.be.within(1, 20);
        await reader.end();
        expect(codeOf(await up(path, { ...tight, parallelMinBytes }))).to.equal(undefined);
        expect(readLedger(path).batches(name).length).to.be.above(done);
        expect(readLedger(path).runs(name)).to.have.length(1);
        expectFilled(path);
      }));

    it(`goes on as soon as the reader has ended (${how})`, () =>
      withColumns(async (path) => {
        const reader = await pinned(path);
        const { events, onEvent } = heard((event) => {
          if (event === 'wal_pinned') void reader.end();
        });
        expect(codeOf(await up(path, { ...tight, parallelMinBytes, onEvent }))).to.equal(undefined);
        expect(events).to.include('wal_pinned');
        expectFilled(path);
      }));

    it(`does not stop for a WAL that is large, but free (${how})`, () =>
      withColumns(async (path) => {
        const { events, onEvent } = heard();
        const extra = { ...tight, parallelMinBytes, walLimitBytes: 1, onEvent };
        expect(codeOf(await up(path, extra))).to.equal(undefined);
        expect(events).not.to.include('wal_pinned');
        expectFilled(path);
      }));

    it(`hears a signal while it waits for the reader (${how})`, () =>
      withColumns(async (path) => {
        await pinned(path);
        const stopper = new AbortController();
        const { onEvent } = heard((event) => {
          if (event === 'wal_pinned') stopper.abort('SIGTERM');
        });
        const extra = { ...tight, parallelMinBytes, signal: stopper.signal, onEvent };
        expect(codeOf(await up(path, extra))).to.equal('TERMINATED');
      }));
  }

  for (const pace of ['courteous', 'full'] as const) {
    it(`fills every row beside a writer at ${pace} pace`, () =>
      withColumns(async (path) => {
        const writer = await connect(path);
        await writer.repeat(
          `INSERT INTO task_audits (task_id, event_type) VALUES ('task_000000', 'repo_commit')`,
          1,
        );
        const { events, onEvent } = heard();
        expect(codeOf(await up(path, { batchRows: 100, pace, backup: false, onEvent }))).to.equal(undefined);
        expect(await writer.repeat('')).to.be.above(0);
        await writer.end();
        if (pace === 'full') expect(events).not.to.include('throttled');
        expectFilled(path);
      }));
  }
});
