import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { defineSchemaStep, type StoreRequirements } from '../src/index.js';
import { commandsOf, named, projectOf } from './support/project.js';
import { asAgentOs, failureOf, withFolder } from './support/stores.js';

// Of what a store states by itself, as text in a table: by what `up` would do about it, and by what is required of it.

const where = { table: 'schema_version', column: 'version' };

/** A store that states its versions. */
interface Versioned {
  /** Makes it state exactly these; as SQL. */
  readonly state: (...versions: readonly string[]) => void;
  /** Whether it is below a version, so that a step that brings it there would write that. */
  readonly isBelow: (version: string) => Promise<boolean>;
  /** Looks at it by a project that requires this of it. */
  readonly look: (requires: StoreRequirements) => Promise<unknown>;
}

// Without a type, as the column keeps numbers apart from texts.
const withVersions = (act: (store: Versioned) => Promise<void>): Promise<void> =>
  withFolder(async (folder) => {
    const path = join(folder, 'store.db');
    const exec = (sql: string): void => asAgentOs(path, (db) => void db.exec(sql));
    exec('CREATE TABLE items (id INTEGER PRIMARY KEY); CREATE TABLE schema_version (version)');
    await act({
      state(...versions) {
        const rows = versions.map((sql) => `INSERT INTO schema_version VALUES (${sql});`);
        exec(`DELETE FROM schema_version; ${rows.join('')}`);
      },
      async isBelow(becomes) {
        const step = named(
          '1-schema',
          defineSchemaStep({ table: 'items', version: { ...where, to: becomes } }),
        );
        const { steps } = await commandsOf(projectOf([step]), { path }).plan(['up']);
        return steps[0].statements.length > 0;
      },
      look: (requires) => commandsOf(projectOf([], requires), { path }).status(),
    });
  });

const quoted = (text: string): string => `'${text}'`;

describe('a version', () => {
  const versions: readonly (readonly [text: string, numbers: string])[] = [
    ['0.21.0', '0.21.0'],
    ['21', '21'],
    ['v0.21', '0.21'],
    ['V1.2.3', '1.2.3'],
    ['0.21.0-rc1', '0.21.0'],
    ['0.21.0+build.7', '0.21.0'],
    ['0.21.0rc1', '0.21.0'],
    ['0.21.0 beta', '0.21.0'],
    ['1.2.3.4.5', '1.2.3.4.5'],
    ['007.010', '7.10'],
    // Beyond what a number holds exactly.
    ['1.9007199254740993', '1.9007199254740993'],
  ];
  it('is read as its numbers', () =>
    withVersions(async ({ state, isBelow }) => {
      for (const [text, numbers] of versions) {
        state(quoted(text));
        expect(await isBelow(numbers), text).to.equal(false);
        expect(await isBelow(`${numbers}.0.1`), text).to.equal(true);
        // As a declaration, too.
        state(quoted(numbers));
        expect(await isBelow(text), text).to.equal(false);
        const less = numbers.replace(/\d+$/, (last) => String(BigInt(last) - 1n));
        state(quoted(less.includes('-') ? '0.20.9999' : less));
        expect(await isBelow(text), text).to.equal(true);
      }
    }));

  it('is told from what is none', () =>
    withVersions(async ({ state, isBelow }) => {
      const texts = ['', ' ', 'v', 'latest', '.1', '1.', '1..2', '-1', 'vv1', ' 1', '1_2', '1,2', 'x1', '٣'];
      for (const version of [...texts.map(quoted), '21', 'NULL', '0.21', `x'302e32302e30'`]) {
        // Beside one that is.
        state(`'0.20.0'`, version);
        const error = await failureOf('VERSION_UNREADABLE', () => isBelow('0.1'));
        expect(error.message, version).to.include('schema_version');
      }
    }));

  it('is compared number by number, not letter by letter', () =>
    withVersions(async ({ state, isBelow }) => {
      for (const [lesser, greater] of [
        ['0.9.0', '0.20.0'],
        ['0.20.0', '0.100.0'],
        ['0.99.99', '1.0.0'],
        ['1.9007199254740992', '1.9007199254740993'],
        // Missing numbers are 0.
        ['0.21', '0.21.0.1'],
      ] as const) {
        state(quoted(lesser));
        expect(await isBelow(greater), `${lesser} below ${greater}`).to.equal(true);
        state(quoted(greater));
        expect(await isBelow(lesser), `${greater} below ${lesser}`).to.equal(false);
      }
      state(`'0.21'`);
      expect(await isBelow('v0.21.0.0')).to.equal(false);
      state(`'v0.21.0.0'`);
      expect(await isBelow('0.21')).to.equal(false);
    }));

  it('has its place in an order', () =>
    withVersions(async ({ state, isBelow }) => {
      const version = fc.array(fc.nat(3), { minLength: 1, maxLength: 3 });
      const padded = (numbers: readonly number[]): string => [...numbers, 0, 0, 0].slice(0, 3).join('.');
      await fc.assert(
        fc.asyncProperty(version, version, async (a, b) => {
          state(quoted(a.join('.')));
          expect(await isBelow(b.join('.'))).to.equal(padded(a) < padded(b));
        }),
      );
    }));
});

describe('the versions of a store', () => {
  it('count by the greatest, which is told in the words of the store', () =>
    withVersions(async ({ state, look }) => {
      state(`'0.20.0'`, `'v0.9'`, `'0.100.0-rc1'`, `'0.19.0'`);
      const error = await failureOf('VERSION_TOO_OLD', () =>
        look({ version: { ...where, atLeast: '0.100.1' } }),
      );
      expect(error.message).to.equal('The store is at version 0.100.0-rc1; at least 0.100.1 is needed');
      await look({ version: { ...where, atLeast: '0.100.0' } });
    }));

  it('are found in a table named in any case', () =>
    withVersions(async ({ state, look }) => {
      state(`'0.20.0'`);
      await look({ version: { table: 'SCHEMA_VERSION', column: 'Version', atLeast: '0.20' } });
    }));

  it('are missed where the table is empty, or not there, or has no such column', () =>
    withVersions(async ({ look }) => {
      const version = { ...where, atLeast: '1' };
      await failureOf('VERSION_MISSING', () => look({ version }));
      const error = await failureOf('VERSION_MISSING', () =>
        look({ version: { ...version, table: 'no_such' } }),
      );
      expect(error.message).to.include('no_such');
      await failureOf('COLUMN_MISSING', () => look({ version: { ...version, column: 'number' } }));
    }));

  it('are not required to be what is no version, which is repeated', () =>
    withVersions(async ({ state, look }) => {
      state(`'0.20.0'`);
      const error = await failureOf('CONFIG_INVALID', () =>
        look({ version: { ...where, atLeast: 'newest' } }),
      );
      expect(error.message).to.include('`newest`');
    }));
});
