import { renameSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Checkpointer } from '../src/store/sqlite/checkpointer.js';
import { CHECKPOINT_PAGES } from '../src/store/sqlite/open.js';
import { checkpoint, setAutoCheckpoint } from '../src/store/sqlite/wal.js';
import { asAgentOs, insertAudits, type Opened, withGeneratedStore, withOpened } from './support/stores.js';

/** Pages that wait, by far more than it takes for a move to be due. */
const MANY = CHECKPOINT_PAGES + 500;

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
      withFullWal(async ({ store }) => {
        const checkpointer = new Checkpointer(store, threadFromBytes);
        await checkpointer.move(MANY, 0);
        await checkpointer.rest();
        const { pages, checkpointed } = checkpoint(store, 'NOOP');
        expect(checkpointed).to.equal(pages);
        await checkpointer.close();
      }));

    it(`lets less than is worth it wait (${how})`, () =>
      withFullWal(async ({ store }) => {
        const checkpointer = new Checkpointer(store, threadFromBytes);
        await checkpointer.move(CHECKPOINT_PAGES - 1, 0);
        await checkpointer.rest();
        expect(checkpoint(store, 'NOOP').checkpointed).to.equal(0);
        await checkpointer.close();
      }));
  }

  it('moves it on this thread when the other has ended', () =>
    withFullWal(async ({ path, store }) => {
      renameSync(path, `${path}-away`);
      const checkpointer = new Checkpointer(store, 0);
      await checkpointer.move(MANY, 0);
      await checkpointer.rest();
      renameSync(`${path}-away`, path);
      expect(checkpoint(store, 'NOOP').checkpointed, 'the other thread found no store').to.equal(0);
      await checkpointer.move(MANY, 0);
      const { pages, checkpointed } = checkpoint(store, 'NOOP');
      expect(checkpointed).to.equal(pages);
      await checkpointer.close();
    }));

  it('waits for the other thread when the WAL has grown far, so that it begins anew', () =>
    withFullWal(async ({ path, store }) => {
      const checkpointer = new Checkpointer(store, 0);
      await checkpointer.move(20_000, 0);
      expect(checkpoint(store, 'NOOP').checkpointed).to.be.at.least(MANY);
      asAgentOs(path, (db) => insertAudits(db, [{}]));
      expect(checkpoint(store, 'NOOP').pages).to.be.below(100);
      await checkpointer.close();
    }));

  it('leaves the store closed behind it: the last connection clears the WAL away', () =>
    withGeneratedStore({ audits: 10 }, async (path) => {
      await withOpened(path, async ({ store }) => {
        const checkpointer = new Checkpointer(store, 0);
        await checkpointer.move(MANY, 0);
        await checkpointer.close();
      });
      await withOpened(path, ({ store }) => {
        expect(store.files.walBytes).to.equal(0);
        expect(store.files.hasShm).to.equal(false);
      });
    }));
});
