import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { defineBackfill, firstOf } from '../src/index.js';
import { NAME, withOwnTable } from './support/own-table.js';
import { needServer } from './support/postgres-server.js';
import { succeed, withPgTables } from './support/postgres-tables.js';
import { type commandsOf, named } from './support/project.js';

// A member of a document without a column to fall back on, beside one that has one.

const definition = defineBackfill({
  table: 'items',
  key: 'id',
  columns: { alone: firstOf('body', ['a', 'b']), other: firstOf('body', ['a'], 'seen') },
});

/** A document, and what each column must hold; a number is not the same text on both. */
const rows: readonly (readonly [body: string | null, alone: string | null, other: string | null])[] = [
  ['{"a":"x"}', 'x', 'x'],
  ['{"b":"y"}', 'y', 's'],
  ['{"a":""}', null, 's'],
  ['{}', null, 's'],
  ['[]', null, 's'],
  ['', null, 's'],
  [null, null, 's'],
  ['not JSON', null, null],
  // What goes to our own reader.
  ['{"a":"\\u003c","a":"z"}', '<', '<'],
  ['{"c":NaN}', null, 's'],
];
const keysWithout = rows.flatMap(([, alone, other], i) => (alone === null && other !== null ? [i + 1] : []));

const ddl = (key: string): string =>
  `CREATE TABLE items (id ${key}, body TEXT, seen TEXT, alone TEXT, other TEXT);
  INSERT INTO items (id, body, seen) VALUES ${rows.map(([body], i) => `(${i + 1}, ${body === null ? 'NULL' : `'${body}'`}, 's')`).join(', ')};`;
const READ = 'SELECT body, alone, other FROM items ORDER BY id';

/** From a dry run to `down`. */
async function expectFilled(
  commands: ReturnType<typeof commandsOf>,
  read: () => Promise<unknown[][]>,
): Promise<void> {
  const fresh = await read();
  const [step] = (await commands.plan(['up'])).steps;
  expect(step.fill.cellsToFill).to.deep.equal({ alone: 3, other: 9 });
  await succeed(commands.up());
  expect(await read()).to.deep.equal(rows.map((row) => [...row]));
  const [listed] = await commands.skips();
  const without = listed?.skips.filter(({ reason }) => reason === 'NO_USABLE_VALUE') ?? [];
  expect(without.map(({ key, target }) => [key, target])).to.deep.equal(
    keysWithout.map((key) => [String(key), 'alone']),
  );
  const [verification] = await commands.verify();
  expect(verification?.verdict).to.equal('warn');
  expect(await read()).to.deep.equal(rows.map((row) => [...row]));
  await succeed(commands.down());
  expect(await read()).to.deep.equal(fresh);
}

describe('firstOf() without a fallback', () => {
  it('fills what has a member, and skips the rest, on SQLite', () =>
    withOwnTable(ddl('INTEGER PRIMARY KEY'), definition, (own) =>
      expectFilled(own.commands, async () => own.rows(READ)),
    ));

  describe('on PostgreSQL', () => {
    before(function () {
      needServer(this);
    });
    it('fills what has a member, and skips the rest', () =>
      withPgTables(ddl('bigint PRIMARY KEY'), ({ of, rows: read }) =>
        expectFilled(of([named(NAME, definition)]), () => read(READ)),
      ));
  });
});
