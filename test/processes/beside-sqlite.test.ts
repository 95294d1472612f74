import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { afterBatch, contentsOf, runApp, stepFile, withTwo } from '../support/beside.js';
import { type App, HELD, type Seen } from '../support/beside-app.js';
import { root, runCommand } from '../support/cli.js';
import { COPIES, hasCopy } from '../support/other-sqlite.js';
import { EVENTS, filled } from '../support/shop.js';
import { query } from '../support/stores.js';

// A step in an application that has loaded another copy of SQLite: a child process does the work, and it looks the same from outside.

describe('beside another copy of SQLite, the ledger', () => {
  it('is read, written and imported into as without it', () =>
    withTwo(async (path, undisturbed, folder) => {
      const program = join(root, 'dist/test/support/beside-ledger.js');
      const told: string[] = [];
      for (const args of [
        [path, folder, 'libsql'],
        [undisturbed, folder],
      ]) {
        const [store = ''] = args;
        const db = new Database(store);
        db.exec(`CREATE TABLE Meta (title TEXT); INSERT INTO Meta VALUES ('000-before.js')`).close();
        await runApp({ path: store, direction: 'up', throws: true }); // an unfinished step
        const { code, stdout, stderr } = await runCommand([process.execPath, program, ...args]);
        expect(code, stderr).to.equal(0);
        told.push(stdout);
      }
      expect(told[0]).to.equal(told[1]);
      for (const line of [
        '["from a storage",{"imported":["000-before"],"present":[]}]',
        '["from a table",{"imported":[],"present":["000-before"]}]',
        '["from no table, dry","TABLE_MISSING"]',
        '["pending",["001-plain.js","002-order-times"]]',
        '["down of a stopped step",["002-order-times"]]',
        '["up",["001-plain.js","002-order-times"]]',
      ])
        expect(told[0]).to.include(`${line}\n`);
      expect(contentsOf(path)).to.deep.equal(contentsOf(undisturbed));
    }));
});

describe('beside another copy of SQLite, a step', () => {
  /** What an application without one has seen, and what it has made of the store. */
  let expected: { readonly seen: Seen; readonly contents: object }[] | undefined;

  for (const copy of COPIES)
    it(`fills, verifies and reverts as without it: ${copy}`, function () {
      if (!hasCopy(copy)) this.skip();
      return withTwo(async (path, undisturbed) => {
        const both = async (app: Pick<App, 'path' | 'copy'>) => {
          const steps: { readonly seen: Seen; readonly contents: object }[] = [];
          for (const direction of ['up', 'down'] as const)
            steps.push({ seen: await runApp({ ...app, direction }), contents: contentsOf(app.path) });
          return steps;
        };
        expected ??= await both({ path: undisturbed });
        expect(expected.map(({ seen }) => seen.error)).to.deep.equal([undefined, undefined]);
        expect(expected[0]?.seen.events).to.include.members(['batch_committed 5', 'verified']);
        const beside = await both({ path, copy });
        expect(beside.map(({ seen }) => seen.isOursLoaded)).to.deep.equal([false, false]);
        expect(beside).to.deep.equal(
          expected.map((each) => ({ ...each, seen: { ...each.seen, isOursLoaded: false } })),
        );
      });
    });

  it('starts no process where there is none', () =>
    withTwo(async (path) => {
      const { error, isOursLoaded } = await runApp({ path, direction: 'up', canStart: false });
      expect(error).to.equal(undefined);
      expect(isOursLoaded).to.equal(true);
      expect(filled(path)).to.equal(EVENTS);
    }));

  for (const [copy, journal] of [
    ['better-sqlite3', 'wal'],
    ['libsql', 'delete'],
  ] as const)
    it(`waits for the application's transaction, which no other process can break into: ${copy}, ${journal}`, () =>
      withTwo(async (path) => {
        const db = new Database(path);
        db.pragma(`journal_mode = ${journal}`);
        db.close();
        const seen = await runApp({ path, copy, direction: 'up', holds: true });
        expect(seen.error).to.equal(undefined);
        expect(seen.rival).to.equal('SQLITE_BUSY');
        expect(query(path, `SELECT kind FROM events WHERE id = ${HELD}`)).to.deep.equal(['held']);
        expect(filled(path), 'all that are still in scope').to.equal(EVENTS - 1);
        expect(query(path, 'PRAGMA integrity_check')).to.deep.equal(['ok']);
      }));

  it('stops by the signal after a batch, and resumes', () =>
    withTwo(async (path, undisturbed, folder) => {
      const stopped = join(folder, 'stopped');
      const app = { copy: 'libsql', direction: 'up', options: { batchRows: 1 } } as const;
      const file = stepFile(folder, { extra: afterBatch(`while (!existsSync('${stopped}')) wait();`) });
      const { error } = await runApp({ ...app, path, file, stopped });
      expect(error?.code).to.equal('TERMINATED');
      expect(error?.message).to.match(/^Stopped by SIGTERM between two batches of 002-order-times/);
      expect(filled(path)).to.be.within(1, EVENTS - 1);
      for (const store of [path, undisturbed])
        expect((await runApp({ ...app, path: store, file: stepFile(folder) })).error).to.equal(undefined);
      expect(contentsOf(path)).to.deep.equal(contentsOf(undisturbed));
    }));

  it('fails as without it: a listener that throws, a `process` that throws', () =>
    withTwo(async (path, undisturbed, folder) => {
      const file = stepFile(folder, { derive: `throw new TypeError('a row');` });
      const cases: readonly (readonly [string, Partial<App>])[] = [
        ['INTERNAL', { throws: true }],
        ['PROCESS_FAILED', { file, options: { name: '003-other' } }],
      ];
      for (const [code, app] of cases) {
        const [beside, here] = [
          await runApp({ path, copy: 'libsql', direction: 'up', ...app }),
          await runApp({ path: undisturbed, direction: 'up', ...app }),
        ];
        expect(beside.error?.code).to.equal(code);
        const told = JSON.stringify(here.error).replace('; the step is declared in backfillStep()', ''); // a listener is not
        expect(JSON.stringify(beside.error)).to.equal(
          code === 'INTERNAL' ? told : JSON.stringify(here.error),
        );
      }
    }));

  it('is refused, with the reason, where that cannot be done', () =>
    withTwo(async (path, _, folder) => {
      const libsql = join(root, 'node_modules/libsql/index.js');
      const file = stepFile(folder);
      const other = stepFile(folder, { name: 'other.mjs', extra: `import ${JSON.stringify(libsql)};` });
      const changed = join(folder, 'changed.mjs');
      writeFileSync(changed, readFileSync(file, 'utf8').replace(`key: 'id'`, `key: 'id', scope: 'id > 1'`));
      const before = readFileSync(path);
      const cases: readonly (readonly [Partial<App>, RegExp])[] = [
        [{ file, passesFile: false }, /^SQLITE_LOADED_TWICE .*@libsql.* Set `file` of backfillStep\(\)/],
        [{ file: other }, /^SQLITE_LOADED_TWICE .*@libsql.* does not import the database/],
        [{ file, otherFile: join(folder, 'none.mjs') }, /^STEP_INVALID .*none\.mjs/],
        [{ file, otherFile: changed }, /^STEP_INVALID .*changed\.mjs is not the `backfill`/],
        [{ canStart: false }, /^SQLITE_LOADED_TWICE .*cannot be started \(Error ENOENT\)/],
      ];
      for (const [app, reason] of cases) {
        const { error } = await runApp({ path, copy: 'libsql', direction: 'up', ...app });
        expect(`${error?.code} ${error?.message}. ${error?.hint}`).to.match(reason);
      }
      expect(readFileSync(path)).to.deep.equal(before);
    }));
});
