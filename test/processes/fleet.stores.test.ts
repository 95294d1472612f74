import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { type CliOptions, expectRefusal, runCli, spawnCli, useFolder } from '../support/cli.js';
import { useHolders } from '../support/lock.js';
import { on } from '../support/on-store.js';
import { asAgentOs } from '../support/stores.js';

describe('the stores of a fleet', () => {
  const folder = useFolder();
  before(() => {
    mkdirSync(folder.file('deep'));
    for (const name of [
      'a.db',
      'b.db',
      'deep/c.db',
      'it[1].db',
      'a.db-wal',
      'a.db-shm',
      'a.db-journal',
      'a.db.lock',
    ])
      writeFileSync(folder.file(name), 'x');
    for (const copy of ['a.db.backup-20261125T013152Z', 'b.db.before-restore-20261125T013152Z'])
      writeFileSync(folder.file(copy), 'x');
    symlinkSync(folder.file('a.db'), folder.file('z-link.db'));
  });
  const named = (...names: readonly string[]): string[] => names.map((name) => join(folder.path, name));
  const given = (paths: readonly string[]): string[] => paths.flatMap((path) => ['--db-path', path]);

  /** The stores of a call, none of which is a database; undefined of a call that is about one store. */
  async function storesOf(args: readonly string[], options: CliOptions = {}): Promise<string[] | undefined> {
    const { stores, error } = (await runCli(['status', '--json', ...args], options)).json();
    if (!stores) expect(error.code).to.match(/^(?:STORE|VERSION)_/);
    return stores?.map(({ path }: { readonly path: string }) => path);
  }

  it('are those that a pattern matches, without what lies beside them, each once', async () => {
    expect(await storesOf(given(named('*.db*')))).to.deep.equal(named('b.db', 'it[1].db', 'z-link.db'));
    expect(await storesOf(given([...named('**/*.db', 'b.db'), `${folder.path}/deep/../b.db`]))).to.deep.equal(
      named('b.db', 'deep/c.db', 'it[1].db', 'z-link.db'),
    );
    expect(await storesOf(given(named('{a,b}.db')))).to.deep.equal(named('a.db', 'b.db'));
  });

  it('are paths as they stand where there is such a file, or none at all', async () => {
    expect(await storesOf(given(named('it[1].db', 'none.db')))).to.deep.equal(named('it[1].db', 'none.db'));
  });

  it('are missing where a pattern matches nothing', async () => {
    const result = await runCli(['status', ...given(named('*.sqlite'))]);
    expect(expectRefusal(result, 'STORE_MISSING', 1).message).to.include('*.sqlite');
  });

  it('are asked for by several paths, or by a pattern; one path is no fleet', async () => {
    const [one = '', other = ''] = named('a.db', 'b.db');
    expect(await storesOf(['--db-path', one])).to.equal(undefined);
    expect(await storesOf([`--db-path=${join(folder.path, 'it[1].db')}`])).to.equal(undefined);
    expect(await storesOf([])).to.equal(undefined);
    expect(await storesOf(['--db-path', one, `--db-path=${other}`])).to.deep.equal([one, other]);
    expect(await storesOf(['--db-path', '{a,b}.db'], { cwd: folder.path })).to.deep.equal([one, other]);
  });
});

describe('the exit code of a fleet', () => {
  const folder = useFolder();
  const startHolder = useHolders();
  let fleets = 0;

  before(async () => {
    generateStore({ path: folder.file('pending.db'), audits: 100 });
    copyFileSync(folder.file('pending.db'), folder.file('done.db'));
    await on(folder.file('done.db')).run(['up', '--no-backup']);
    copyFileSync(folder.file('done.db'), folder.file('unverified.db'));
    asAgentOs(folder.file('unverified.db'), (db) =>
      db.exec(`UPDATE umzug_backfill_runs SET status = 'filled';
        UPDATE task_audits SET source_event_ts = 'x' WHERE source_event_ts IS NOT NULL`),
    );
    writeFileSync(folder.file('broken.db'), 'no database');
  });

  type Kind = 'pending' | 'done' | 'unverified' | 'broken';

  /** Copies of these stores, in their order. */
  function fleet(...kinds: readonly Kind[]) {
    fleets += 1;
    const own = folder.file(`fleet-${fleets}`);
    mkdirSync(own);
    const paths = kinds.map((kind, i) => {
      copyFileSync(folder.file(`${kind}.db`), join(own, `${i}.db`));
      return join(own, `${i}.db`);
    });
    return { paths, args: ['--db-path', join(own, '*.db'), '--concurrency', '1'] };
  }
  /** How many stores ended how, as the summary counts them. */
  const counts = (stdout: string): string[] =>
    [...stdout.matchAll(/^│ (\w[\w ]*?) +│ +(\d+) +│$/gm)].map(
      ([, outcome, stores]) => `${outcome}: ${stores}`,
    );

  it('is the gravest of its stores, which are counted by it, the gravest first', async () => {
    const check = async (command: readonly string[], ...kinds: readonly Kind[]) => {
      const { code, stdout } = await runCli([...command, ...fleet(...kinds).args]);
      return [code, ...counts(stdout)];
    };
    const status = ['status', '--check'];
    expect(await check(status, 'done', 'done')).to.deep.equal([0, 'done: 2']);
    expect(await check(status, 'done', 'pending', 'done')).to.deep.equal([3, 'work pending: 1', 'done: 2']);
    expect(await check(status, 'broken', 'pending')).to.deep.equal([1, 'failed: 1', 'work pending: 1']);
    expect(await check(status, 'pending', 'broken')).to.deep.equal([1, 'failed: 1', 'work pending: 1']);
    const verify = ['verify'];
    expect(await check(verify, 'unverified', 'done', 'unverified')).to.deep.equal([
      5,
      'unverified: 2',
      'done: 1',
    ]);
    expect(await check(verify, 'unverified', 'broken')).to.deep.equal([1, 'failed: 1', 'unverified: 1']);
  });

  for (const [signal, stopped] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    it(`is graver for a check that failed than for a lock, and for that than for ${signal}`, async () => {
      const kinds = ['unverified', 'pending', 'done', 'pending', 'pending'] as const;
      for (const from of [0, 1, 2]) {
        const { paths, args } = fleet(...kinds.slice(from));
        const [locked, last = ''] = [paths[1 - from], paths[3 - from]];
        const holder = locked === undefined ? undefined : await startHolder(locked);
        let isSent = false;
        const up = ['up', '--no-backup', '--batch-size', '2', '--lock-timeout', '0', '--log-level', 'debug'];
        const { code, stdout, stderr } = await spawnCli([...up, ...args], {
          onStderr: (text, child) => {
            const isThere = text
              .split('\n')
              .some((line) => line.includes(last) && /batch_committed/.test(line));
            if (!isSent && isThere) isSent = child.kill(signal);
          },
        });
        await holder?.end();
        expect(code, stderr).to.equal([5, 4, stopped][from]);
        expect(counts(stdout)).to.deep.equal(
          ['unverified: 1', 'locked: 1', 'stopped: 2', 'done: 1'].slice(from),
        );
      }
    });
  }
});
