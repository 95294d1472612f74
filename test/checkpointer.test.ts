import { renameSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Checkpointer } from '../src/store/sqlite/checkpointer.js';
import { CHECKPOINT_PAGES } from '../src/store/sqlite/open.js';
import { requireSqlite } from '../src/store/sqlite/store.js';
import { checkpoint, setAutoCheckpoint } from '../src/store/sqlite/wal.js';
import { asAgentOs, insertAudits, type Opened, withGeneratedStore, withOpened } from './support/stores.js';

/** Pages that wait, by far more than it takes for a move to be due. */
const MANY = CHECKPOINT_PAGES + 500;

/** Runs `act` with a checkpointer, and closes that whatever happens: its thread would keep the process. */
async function withCheckpointer(
  { store }: Opened,
  threadFromBytes: number,
  act: (checkpointer: Checkpointer) => Promise<void>,
): Promise<void> {
  const checkpointer = new Checkpointer(requireSqlite(store), threadFromBytes);
  try {
    await act(checkpointer);
  } finally {
    await checkpointer.close();
  }
}

/** Runs `act` with a store of which `MANY` pages stand in the WAL. */
async function withFullWal(act: (opened: Opened) => Promise<void>): Promise<void> {
  await withGeneratedStore({ audits: 10 }, (path) =>
    withOpened(path, async (opened) => {
      setAutoCheckpoint(opened.store, 0);
      opened.store.exec('CREATE TABLE filler (bytes)');
      opened.store.run(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?)
        INSERT INTO filler SELECT zeroblob(4000) FROM n`,
        MANY,
      );
      expect(checkpoint(opened.store, 'NOOP').pages).to.be.at.least(MANY);
      await act(opened);
    }),
  );
}

describe('Checkpointer', () => {
  for (const [how, threadFromBytes] of [
    ['one thread', Number.POSITIVE_INFINITY],
    ['two threads', 0],
  ] as const) {
    it(`moves the WAL into the main file (${how})`, () =>
      withFullWal((opened) =>
        withCheckpointer(opened, threadFromBytes, async (checkpointer) => {
          await checkpointer.move(MANY, 0);
          await checkpointer.rest();
          const { pages, checkpointed } = checkpoint(opened.store, 'NOOP');
          expect(checkpointed).to.equal(pages);
        }),
      ));

    it(`lets less than is worth it wait (${how})`, () =>
      withFullWal((opened) =>
        withCheckpointer(opened, threadFromBytes, async (checkpointer) => {
          await checkpointer.move(CHECKPOINT_PAGES - 1, 0);
          await checkpointer.rest();
          expect(checkpoint(opened.store, 'NOOP').checkpointed).to.equal(0);
        }),
      ));
  }

  it('moves it on this thread when the other has ended', () =>
    withFullWal((opened) =>
      withCheckpointer(opened, 0, async (checkpointer) => {
        const { path, store } = opened;
        renameSync(path, `${path}-away`);
        await checkpointer.move(MANY, 0);
        await checkpointer.rest();
        renameSync(`${path}-away`, path);
        expect(checkpoint(store, 'NOOP').checkpointed, 'the other thread found no store').to.equal(0);
        await checkpointer.move(MANY, 0);
        const { pages, checkpointed } = checkpoint(store, 'NOOP');
        expect(checkpointed).to.equal(pages);
      }),
    ));

  it('waits for the other thread when the WAL has grown far, so that it begins anew', () =>
    withFullWal((opened) =>
      withCheckpointer(opened, 0, async (checkpointer) => {
        const { path, store } = opened;
        await checkpointer.move(20_000, 0);
        expect(checkpoint(store, 'NOOP').checkpointed).to.be.at.least(MANY);
        asAgentOs(path, (db) => insertAudits(db, [{}]));
        expect(checkpoint(store, 'NOOP').pages).to.be.below(100);
      }),
    ));

  it('leaves the store closed behind it: the last connection clears the WAL away', () =>
    withGeneratedStore({ audits: 10 }, async (path) => {
      await withOpened(path, (opened) =>
        withCheckpointer(opened, 0, async (checkpointer) => {
          await checkpointer.move(MANY, 0);
        }),
      );
      await withOpened(path, ({ store }) => {
        expect(store.files?.walBytes).to.equal(0);
        expect(store.files?.hasShm).to.equal(false);
      });
    }));
});
