import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { codeOf, down, up } from './support/migrate.js';
import { actualCells, expectedCells } from './support/reference.js';
import { expectStopBetweenPages, PAGED_ROWS } from './support/stopped-verification.js';
import { change, dumpSchema, withFolder, withGeneratedStore } from './support/stores.js';

// An application in the same thread: it gets its turns between our transactions, and never inside one.

/** Writes through a connection of its own in every turn of the event loop while `act` goes on; returns how often. */
async function writingMeanwhile(path: string, act: () => Promise<unknown>): Promise<number> {
  const db = new Database(path, { timeout: 2000 });
  const write = db.prepare('UPDATE beats SET n = n + 1');
  let [writes, isOver] = [0, false];
  const failed = new Promise<never>((_, reject) => {
    const beat = (): void => {
      if (isOver) return;
      try {
        write.run();
        writes += 1;
        setImmediate(beat);
      } catch (error) {
        reject(error);
      }
    };
    setImmediate(beat);
  });
  try {
    await Promise.race([act(), failed]);
  } finally {
    isOver = true;
    db.close();
  }
  return writes;
}

describe('an application that writes to the store in the same thread', () => {
  for (const journal of ['wal', 'delete'])
    it(`never finds it locked by a transaction of ours, up and down (${journal})`, () =>
      withGeneratedStore({ audits: 24_000 }, async (path) => {
        change(
          path,
          `PRAGMA journal_mode = ${journal}; CREATE TABLE beats (n INTEGER); INSERT INTO beats VALUES (0)`,
        );
        const before = dumpSchema(path);
        const pace = { backup: false, batchRows: 400, parallelMinBytes: Number.POSITIVE_INFINITY } as const;
        expect(
          await writingMeanwhile(path, async () => expect(codeOf(await up(path, pace))).to.equal(undefined)),
        ).to.be.above(30);
        expect(actualCells(path)).to.deep.equal(expectedCells(path));
        expect(await writingMeanwhile(path, () => down(path, { to: 0 }, pace))).to.be.above(30);
        expect(dumpSchema(path)).to.deep.equal(before);
      }));
});

describe('the signal of a program', () => {
  it('ends a verification between two pages of its rows', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'notes.sqlite');
      change(
        path,
        `PRAGMA journal_mode = wal; CREATE TABLE notes (id INTEGER PRIMARY KEY, a TEXT);
        WITH RECURSIVE ids (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < ${PAGED_ROWS})
        INSERT INTO notes (id) SELECT id FROM ids`,
      );
      await expectStopBetweenPages(path);
    }));
});
