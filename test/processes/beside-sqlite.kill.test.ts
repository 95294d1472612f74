import { expect } from 'chai';
import { describe, it } from 'mocha';
import { contentsOf, inBatch, runApp, startApp, stepFile, withTwo } from '../support/beside.js';
import { EVENTS, filled } from '../support/shop.js';

// The application, or the child process that works for it beside another copy of SQLite, is killed in the middle of a batch.

/** Batches before the one in which something happens. */
const BEFORE = 2;

const app = { copy: 'libsql', direction: 'up', options: { batchRows: 1 } } as const;

/** What an undisturbed run, without another copy, comes to. */
let expected: object | undefined;

/** Insists that the next run resumes, and comes to the same. */
async function expectResumed(path: string, undisturbed: string, file: string): Promise<void> {
  if (!expected) {
    const { error } = await runApp({ ...app, path: undisturbed, file, copy: undefined });
    expect(error).to.equal(undefined);
    expected = contentsOf(undisturbed);
  }
  expect((await runApp({ ...app, path, file })).error).to.equal(undefined);
  expect(contentsOf(path)).to.deep.equal(expected);
}

describe('beside another copy of SQLite, a step that is killed in a batch', () => {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const)
    it(`ends that batch, stops and resumes: ${signal} to the application`, () =>
      withTwo(async (path, undisturbed, folder) => {
        const act = `process.kill(application, '${signal}'); gone();`;
        const ended = await startApp({
          ...app,
          path,
          file: stepFile(folder, { extra: inBatch(BEFORE + 1, act) }),
        });
        expect(ended.signal).to.equal(signal);
        expect(filled(path), 'with the batch in which it was').to.be.within(BEFORE + 1, EVENTS - 1);
        await expectResumed(path, undisturbed, stepFile(folder));
      }));

  it('rolls that batch back, says so and resumes: SIGKILL to the child', () =>
    withTwo(async (path, undisturbed, folder) => {
      const file = stepFile(folder, { extra: inBatch(BEFORE + 1, `process.kill(process.pid, 'SIGKILL');`) });
      const { error } = await runApp({ ...app, path, file });
      expect(error).to.deep.equal({
        name: 'BackfillError',
        code: 'WORKER_LOST',
        message: 'The process that worked on this store has ended (SIGKILL); every committed batch is kept',
        hint: 'Run the same command again; it resumes where it stopped',
      });
      expect(filled(path)).to.equal(BEFORE);
      await expectResumed(path, undisturbed, stepFile(folder));
    }));

  it('is not left behind by the application, even where its function never returns', () =>
    withTwo(async (path, undisturbed, folder) => {
      const act = `process.kill(application, 'SIGKILL'); for (let i = 0; i < 6000; i += 1) wait();`;
      const ended = await startApp({
        ...app,
        path,
        file: stepFile(folder, { extra: inBatch(BEFORE + 1, act) }),
      });
      expect(ended.signal).to.equal('SIGKILL');
      expect(filled(path)).to.equal(BEFORE);
      await expectResumed(path, undisturbed, stepFile(folder));
    }));
});
