import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { declaredVersion, storeVersion, storeVersions } from '../src/schema/versions.js';
import { compareVersions, parseVersion } from '../src/version.js';
import { asAgentOs, failureOf, withGeneratedStore, withOpened } from './support/stores.js';

const where = { table: 'schema_version', column: 'version' };

/** Runs `act` on a store that states exactly these versions. */
const withVersions = async <Result>(
  versions: readonly unknown[],
  act: Parameters<typeof withOpened<Result>>[1],
): Promise<Result> =>
  withGeneratedStore({ audits: 0 }, (path) => {
    asAgentOs(path, (db) => {
      db.exec('DELETE FROM schema_version');
      const insert = db.prepare('INSERT INTO schema_version (version) VALUES (?)');
      for (const version of versions) insert.run(version);
    });
    return withOpened(path, act);
  });

describe('parseVersion', () => {
  const versions: readonly (readonly [text: string, numbers: readonly bigint[]])[] = [
    ['0.21.0', [0n, 21n, 0n]],
    ['21', [21n]],
    ['v0.21', [0n, 21n]],
    ['V1.2.3', [1n, 2n, 3n]],
    ['0.21.0-rc1', [0n, 21n, 0n]],
    ['0.21.0+build.7', [0n, 21n, 0n]],
    ['0.21.0rc1', [0n, 21n, 0n]],
    ['0.21.0 beta', [0n, 21n, 0n]],
    ['1.2.3.4.5', [1n, 2n, 3n, 4n, 5n]],
    ['007.010', [7n, 10n]],
    // Beyond what a number holds exactly.
    ['1.9007199254740993', [1n, 9007199254740993n]],
  ];
  for (const [text, numbers] of versions) {
    it(`reads ${text}`, () => {
      expect(parseVersion(text)).to.deep.equal(numbers);
    });
  }

  for (const text of [
    '',
    ' ',
    'v',
    'latest',
    '.1',
    '1.',
    '1..2',
    '-1',
    'vv1',
    ' 1',
    '1_2',
    '1,2',
    'x1',
    '٣',
    21,
    null,
    0.21,
  ]) {
    it(`takes ${JSON.stringify(text)} for no version`, () => {
      expect(parseVersion(text)).to.equal(undefined);
    });
  }
});

describe('compareVersions', () => {
  const compare = (a: string, b: string): number => compareVersions(declaredVersion(a), declaredVersion(b));

  it('compares number by number, not letter by letter', () => {
    expect(compare('0.9.0', '0.20.0')).to.be.lessThan(0);
    expect(compare('0.100.0', '0.20.0')).to.be.greaterThan(0);
    expect(compare('1.0.0', '0.99.99')).to.be.greaterThan(0);
    expect(compare('1.9007199254740992', '1.9007199254740993')).to.be.lessThan(0);
  });

  it('takes missing numbers for 0', () => {
    expect(compare('0.21', 'v0.21.0.0')).to.equal(0);
    expect(compare('0.21', '0.21.0.1')).to.be.lessThan(0);
  });

  it('is an order', () => {
    const version = fc.array(fc.bigInt({ min: 0n, max: 3n }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(compareVersions(a, b)).to.equal(0 - compareVersions(b, a));
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
          expect(compareVersions(a, c)).to.be.at.most(0);
        }
      }),
    );
  });
});

describe('declaredVersion', () => {
  it('refuses what is no version, and repeats it', async () => {
    const error = await failureOf('CONFIG_INVALID', () => declaredVersion('newest'));
    expect(error.message).to.include('`newest`');
  });
});

describe('storeVersions', () => {
  it('gives every version, smallest first, in the words of the store', async () => {
    await withVersions(['0.20.0', 'v0.9', '0.100.0-rc1', '0.19.0'], ({ store }) => {
      const texts = storeVersions(store, where).map(({ text }) => text);
      expect(texts).to.deep.equal(['v0.9', '0.19.0', '0.20.0', '0.100.0-rc1']);
      expect(storeVersion(store, where)).to.deep.equal({ text: '0.100.0-rc1', version: [0n, 100n, 0n] });
    });
  });

  it('finds the table in any case', async () => {
    await withVersions(['0.20.0'], ({ store }) => {
      expect(storeVersion(store, { table: 'SCHEMA_VERSION', column: 'Version' }).text).to.equal('0.20.0');
    });
  });

  it('refuses a store without the table, and one that states no version', async () => {
    await withVersions([], async ({ store }) => {
      await failureOf('VERSION_MISSING', () => storeVersions(store, where));
      const error = await failureOf('VERSION_MISSING', () =>
        storeVersions(store, { ...where, table: 'no_such' }),
      );
      expect(error.message).to.include('no_such');
    });
  });

  for (const version of ['latest', '', null, Buffer.from('0.20.0')]) {
    it(`refuses ${version === null ? 'NULL' : Buffer.isBuffer(version) ? 'a BLOB' : `'${version}'`} beside a version`, async () => {
      await withVersions(['0.20.0', version], async ({ store }) => {
        const error = await failureOf('VERSION_UNREADABLE', () => storeVersions(store, where));
        expect(error.message).to.include('schema_version');
      });
    });
  }
});
