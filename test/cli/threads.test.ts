import { availableParallelism } from 'node:os';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { on } from '../support/on-store.js';
import { change, withGeneratedStore } from '../support/stores.js';

const threads = availableParallelism() > 1 ? 2 : 1;

/** How many threads the last verification that the log tells of had. */
const threadsIn = (log: string): number =>
  log
    .split('\n')
    .filter((line) => line.includes('"verified"'))
    .map((line) => Number(JSON.parse(line).threads))
    .at(-1) ?? 0;

describe('the compiled program', () => {
  it('verifies a store of more than 64 MiB on two threads, where there are two processors, a small one on one', () =>
    withGeneratedStore({ audits: 500 }, async (path) => {
      change(path, 'CREATE TABLE large (bytes BLOB); INSERT INTO large VALUES (zeroblob(65 * 1024 * 1024))');
      const { run } = on(path);
      expect(threadsIn((await run(['up', '--no-backup'])).stderr)).to.equal(threads);
      const { verifications } = (await run(['verify', '--json'])).json();
      expect(verifications[0].threads).to.equal(threads);
      await withGeneratedStore({ audits: 100 }, async (small) => {
        expect(threadsIn((await on(small).run(['up', '--no-backup'])).stderr)).to.equal(1);
      });
    }));
});
