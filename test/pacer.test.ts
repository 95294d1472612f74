import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { RunEvent } from '../src/backfill/run-options.js';
import { useConnections } from './support/connection.js';
import { actualCells, expectedCells } from './support/reference.js';
import { type Connected, connected, fill, name, refusal, withV21 } from './support/run-up.js';

// A reader with an open transaction keeps the WAL from beginning anew: it grows with each batch.

const options = { audits: 3000 };
const tight = { batchRows: 100, walLimitBytes: 300_000 } as const;

function expectFilled(path: string): void {
  expect(actualCells(path)).to.deep.equal(expectedCells(path));
}

describe('Pacer', () => {
  const connect = useConnections();

  /** What pins the WAL: a snapshot that another process holds. */
  const pinned = async (path: string) => {
    const reader = await connect(path);
    await reader.run(
      'BEGIN; SELECT count(*) FROM task_audits; CREATE TEMP TABLE held AS SELECT 1 FROM task_audits LIMIT 1',
    );
    return reader;
  };

  for (const [how, threadFromBytes] of [
    ['one thread', Number.POSITIVE_INFINITY],
    ['two threads', 0],
  ] as const) {
    it(`stops with WAL_PINNED when a reader pins the WAL at its limit, and keeps what is committed (${how})`, () =>
      withV21(options, async (at: Connected) => {
        const reader = await pinned(at.path);
        const events: RunEvent['event'][] = [];
        const onEvent = ({ event }: RunEvent): void => void events.push(event);
        expect(await refusal(() => fill(at, { ...tight, threadFromBytes, walWaitMs: 0, onEvent }))).to.match(
          /^WAL_PINNED/,
        );
        expect(events.filter((event) => event === 'wal_pinned')).to.have.length(1);
        const done = at.ledger.batches(name).length;
        expect(done).to.be.within(1, 20);
        await reader.end();
        await connected(at.path, async (next) => {
          await fill(next, { ...tight, threadFromBytes });
          expect(next.ledger.batches(name).length).to.be.above(done);
          expect(next.ledger.runs(name)).to.have.length(1);
        });
        expectFilled(at.path);
      }));

    it(`goes on as soon as the reader has ended (${how})`, () =>
      withV21(options, async (at: Connected) => {
        const reader = await pinned(at.path);
        const onEvent = ({ event }: RunEvent): void => {
          if (event === 'wal_pinned') void reader.end();
        };
        await fill(at, { ...tight, threadFromBytes, onEvent });
        expectFilled(at.path);
      }));

    it(`does not stop for a WAL that is large, but free (${how})`, () =>
      withV21(options, async (at: Connected) => {
        const events: RunEvent['event'][] = [];
        await fill(at, {
          ...tight,
          threadFromBytes,
          walLimitBytes: 1,
          onEvent: ({ event }) => void events.push(event),
        });
        expect(events).not.to.include('wal_pinned');
        expectFilled(at.path);
      }));

    it(`hears a signal while it waits for the reader (${how})`, () =>
      withV21(options, async (at: Connected) => {
        await pinned(at.path);
        const stopper = new AbortController();
        const onEvent = ({ event }: RunEvent): void => {
          if (event === 'wal_pinned') stopper.abort('SIGTERM');
        };
        expect(
          await refusal(() => fill(at, { ...tight, threadFromBytes, signal: stopper.signal, onEvent })),
        ).to.match(/^TERMINATED/);
      }));
  }

  for (const pace of ['courteous', 'full'] as const) {
    it(`fills every row beside a writer at ${pace} pace`, () =>
      withV21(options, async (at: Connected) => {
        const writer = await connect(at.path);
        await writer.repeat(
          `INSERT INTO task_audits (task_id, event_type) VALUES ('task_000000', 'repo_commit')`,
          1,
        );
        await fill(at, { batchRows: 100, pace });
        expect(await writer.repeat('')).to.be.above(0);
        await writer.end();
        expectFilled(at.path);
      }));
  }
});
