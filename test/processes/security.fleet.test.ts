import { chmodSync, copyFileSync, existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, beforeEach, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { bytesOf, spawnCli, useFolder } from '../support/cli.js';
import { useNewProject } from '../support/new-project.js';
import { query } from '../support/stores.js';
import { as, give, needUsers, OTHER, plant, SECOND } from '../support/users.js';

// A fleet of stores in homes of several users, one of whom attacks the others through the pattern.

interface Store {
  readonly path: string;
  readonly exitCode: number;
  readonly output: { readonly error?: { readonly code: string; readonly message: string } };
}

describe('a fleet among several users', () => {
  const folder = useFolder();
  let count = 0;
  let homes = '';
  const at = (name: string): string => join(homes, name);
  const isFilled = (path: string): boolean =>
    query<number>(path, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'umzug_backfill_%'")[0] !== 0;
  before(function () {
    needUsers(this);
    chmodSync(folder.path, 0o755);
    generateStore({ path: folder.file('v20.db'), audits: 20 });
  });
  beforeEach(() => {
    count += 1;
    homes = folder.file(`homes-${count}`);
    mkdirSync(homes);
  });

  /** Makes a home with a store in it. */
  function home(name: string, uid = 0): string {
    mkdirSync(at(name));
    const store = at(`${name}/store.db`);
    copyFileSync(folder.file('v20.db'), store);
    give(uid, store, at(name));
    return store;
  }

  async function run(pattern: string, prefix: readonly string[] = [], ...more: readonly string[]) {
    const result = await spawnCli(
      ['up', '--no-backup', '--json', '--db-path', at(pattern), '--db-path', at('none.db'), ...more],
      { prefix },
    );
    const { stores } = result.json() as { readonly stores: readonly Store[] };
    return { result, stores: stores.filter(({ path }) => path !== at('none.db')) };
  }
  const told = (stores: readonly Store[]): unknown[] =>
    stores.map(({ path, output }) => [path.slice(homes.length + 1), output.error?.code]);

  it('does not follow links of another user, to files or folders, and tells of each as refused', async () => {
    home('a');
    const own = home('private');
    chmodSync(at('private'), 0o700);
    mkdirSync(at('b'));
    give(OTHER, at('b'));
    plant(own, at('b/store.db'));
    plant(at('private'), at('c'));
    plant('/', at('unmatched')); // a pattern of any depth would search the whole system
    const bytes = bytesOf(own);
    const { result, stores } = await run('{a,b,c}/store.db');
    expect(told(stores)).to.deep.equal([
      ['a/store.db', undefined],
      ['b/store.db', 'STORE_UNTRUSTED'],
      ['c', 'STORE_UNTRUSTED'],
    ]);
    expect(result.code).to.equal(1);
    expect(stores[1]?.output.error?.message).to.equal(
      `The link ${at('b/store.db')} belongs to user id ${OTHER}; patterns do not follow links of other users`,
    );
    expect(bytesOf(own)).to.deep.equal(bytes);
    expect(isFilled(at('a/store.db'))).to.equal(true);
    const deep = await run('**/store.db');
    expect(told(deep.stores)).to.deep.equal([
      ['a/store.db', undefined],
      ['b/store.db', 'STORE_UNTRUSTED'],
      ['c', 'STORE_UNTRUSTED'],
      ['private/store.db', undefined],
      ['unmatched', 'STORE_UNTRUSTED'],
    ]);
    const links = ['b/store.db', 'c', 'unmatched'].map((name) => lstatSync(at(name)).isSymbolicLink());
    expect(links).to.deep.equal([true, true, true]);
  });

  it('does not follow them for a user who is not root, and follows those of root and of its own', async () => {
    const store = home('a', SECOND);
    mkdirSync(at('b'));
    chmodSync(homes, 0o1777);
    plant(store, at('b/store.db'));
    for (const [name, uid] of [
      ['c', SECOND],
      ['d', 0],
    ] as const) {
      mkdirSync(at(`real-${name}`));
      copyFileSync(folder.file('v20.db'), at(`real-${name}/store.db`));
      give(SECOND, at(`real-${name}`), at(`real-${name}/store.db`));
      symlinkSync(at(`real-${name}`), at(name));
      give(uid, at(name));
    }
    const { stores } = await run('?/store.db', as(SECOND));
    expect(told(stores)).to.deep.equal([
      ['a/store.db', undefined],
      ['b/store.db', 'STORE_UNTRUSTED'],
      ['c/store.db', undefined],
      ['d/store.db', undefined],
    ]);
    for (const name of ['a', 'c', 'd']) expect(isFilled(at(`${name}/store.db`)), name).to.equal(true);
  });

  it('works on each store as its owner, with one process for several owners', async () => {
    const owners = { a: OTHER, b: 0, c: SECOND, d: OTHER, e: 0, f: SECOND };
    for (const [name, uid] of Object.entries(owners)) home(name, uid);
    chmodSync(home('g', OTHER), 0o600);
    give(SECOND, at('g')); // two users
    for (const concurrency of ['1', '3']) {
      const { stores, result } = await run('*/store.db', [], '--concurrency', concurrency);
      expect(told(stores), result.stderr).to.deep.equal([
        ...Object.keys(owners).map((name) => [`${name}/store.db`, undefined]),
        ['g/store.db', 'STORE_UNTRUSTED'],
      ]);
      const changes = result.stderr.split('\n').filter((line) => line.includes('"user_changed"'));
      expect(changes.length).to.be.at.least(2);
    }
    for (const [name, uid] of Object.entries(owners)) {
      expect(isFilled(at(`${name}/store.db`)), name).to.equal(true);
      const files = readdirSync(at(name));
      expect(files).to.include('store.db.lock');
      for (const file of files) expect(lstatSync(at(`${name}/${file}`)).uid, `${name}/${file}`).to.equal(uid);
    }
    expect(existsSync(at('g/store.db.lock'))).to.equal(false);
  });
});

describe('a process of a fleet that sends another message', () => {
  const project = useNewProject();
  const nested = (depth: number): object => ({
    text: '{a}{a}{a}',
    values: { a: depth === 0 ? 'x' : nested(depth - 1) },
  });
  const phrase = { text: 'x', values: {} };

  for (const [title, message] of [
    ['a text in place of a message', 'x'],
    ['a message without values', { text: 'x' }],
    ['a value that is no message', { text: '{a}', values: { a: {} } }],
    ['a message that takes forever to render', nested(30)],
    ['a text that repeats a value', { text: '{a}'.repeat(9), values: { a: 'x' } }],
  ] as const) {
    it(`is ended, and its store counts as lost: ${title}`, async () => {
      project.declare({ '001-a': `defineSqlStep({ up: ['SELECT 1'] })` });
      const error = { code: 'STORE_BUSY', message, hint: phrase };
      const sent = { path: join(project.path, 'a.db'), exitCode: 1, durationMs: 1, output: {}, error };
      project.write(
        'steps/002-b.mjs',
        `process.send?.(${JSON.stringify(sent)}); await new Promise(() => {});`,
      );
      for (const name of ['a.db', 'b.db'])
        new Database(join(project.path, name)).exec('CREATE TABLE t (a)').close();
      const stores = ['a.db', 'b.db'].flatMap((name) => ['--db-path', join(project.path, name)]);
      const { stdout, code } = await spawnCli(['up', '--no-backup', '--concurrency', '1', ...stores], {
        cwd: project.path,
      });
      expect(stdout.match(/WORKER_LOST/g)).to.have.length(2);
      expect(code).to.equal(1);
    });
  }
});
