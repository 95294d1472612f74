import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { findStores, givenStores } from '../src/fleet/stores.js';
import { countByExit, worstExit } from '../src/fleet/summary.js';
import { useFolder } from './support/cli.js';
import { failureOf } from './support/stores.js';

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

  it('are those that a pattern matches, without what lies beside them, each once', async () => {
    expect(await findStores(named('*.db*'))).to.deep.equal(named('b.db', 'it[1].db', 'z-link.db'));
    expect(await findStores(named('**/*.db', 'b.db', './deep/../b.db'))).to.deep.equal(
      named('b.db', 'deep/c.db', 'it[1].db', 'z-link.db'),
    );
    expect(await findStores(named('{a,b}.db'))).to.deep.equal(named('a.db', 'b.db'));
  });

  it('are paths as they stand where there is such a file, or none at all', async () => {
    expect(await findStores(named('it[1].db', 'none.db'))).to.deep.equal(named('it[1].db', 'none.db'));
  });

  it('are missing where a pattern matches nothing', async () => {
    const { message } = await failureOf('STORE_MISSING', () => findStores(named('*.sqlite')));
    expect(message).to.include('*.sqlite');
  });

  it('are asked for by several paths, or by a pattern; one path is no fleet', () => {
    const [one, other] = named('a.db', 'b.db');
    expect(givenStores(['up', '--db-path', one as string])).to.equal(undefined);
    expect(givenStores(['up', `--db-path=${join(folder.path, 'it[1].db')}`])).to.equal(undefined);
    expect(givenStores(['up'])).to.equal(undefined);
    expect(givenStores(['up', '--db-path', one as string, `--db-path=${other}`])).to.deep.equal([one, other]);
    expect(givenStores(['up', '--db-path', '*.db'])).to.deep.equal(['*.db']);
  });
});

describe('the exit code of a fleet', () => {
  const results = (...codes: readonly number[]) =>
    codes.map((exitCode) => ({ path: '', exitCode, durationMs: 0, output: {} }));

  it('is the gravest of its stores', () => {
    const gravity = [1, 5, 4, 143, 3, 0];
    gravity.forEach((code, i) => {
      expect(worstExit(results(...gravity.slice(i)))).to.equal(code);
      expect(worstExit(results(...gravity.slice(i).reverse()))).to.equal(code);
    });
    expect(worstExit(results(130, 3, 0))).to.equal(130);
    expect(worstExit([])).to.equal(0);
  });

  it('is counted, the gravest first', () => {
    expect(countByExit(results(0, 5, 0, 3, 5))).to.deep.equal([
      [5, 2],
      [3, 1],
      [0, 2],
    ]);
  });
});
