import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineBackfill, defineSchemaStep, defineSqlStep, sql } from '../src/index.js';
import { commandsOf, named, projectOf, type Step } from './support/project.js';
import { asAgentOs, failureOf, withFolder } from './support/stores.js';

// A new project, whose tables come from its own steps.

const table = defineSqlStep({
  up: [
    'CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)',
    `INSERT INTO notes (text) VALUES ('a'), ('b')`,
  ],
  down: ['DROP TABLE notes'],
});
const schema = defineSchemaStep({
  table: 'notes',
  columns: { shout: 'TEXT' },
  indexes: { notes_shout: { columns: ['shout'] } },
});
const backfill = defineBackfill({ table: 'notes', key: 'id', columns: { shout: sql('upper(text)') } });

/** What a dry run says of a step. */
interface Planned {
  readonly step: string;
  readonly dependsOn?: string;
}

const withSteps = (
  steps: readonly Step[],
  act: (commands: ReturnType<typeof commandsOf>, path: string) => Promise<void>,
): Promise<void> =>
  withFolder(async (folder) => {
    const path = join(folder, 'notes.db');
    const db = new Database(path);
    db.exec('CREATE TABLE other (x)');
    db.close();
    await act(commandsOf(projectOf(steps), { path }, { backup: false }), path);
  });

describe('a table that a step of plain SQL makes', () => {
  it('can be changed and filled by the steps behind it, in one `up`', () =>
    withSteps(
      [named('1-table', table), named('2-schema', schema), named('3-fill', backfill)],
      async ({ up, down, plan }, path) => {
        const { steps } = await plan(['up']);
        expect(steps.map(({ step, dependsOn }: Planned) => [step, dependsOn])).to.deep.equal([
          ['1-table', undefined],
          ['2-schema', '1-table'],
          ['3-fill', '1-table'],
        ]);
        const { applied, error, verifications } = await up();
        expect(error).to.equal(undefined);
        expect(applied).to.deep.equal(['1-table', '2-schema', '3-fill']);
        expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
        const rows = asAgentOs(path, (db) => db.prepare('SELECT shout FROM notes').pluck().all());
        expect(rows).to.deep.equal(['A', 'B']);
        expect((await down({ to: 0 }, { confirmed: true })).error).to.equal(undefined);
        const left = asAgentOs(path, (db) => db.prepare('SELECT name FROM sqlite_schema').pluck().all());
        expect(left).to.deep.equal(['other']);
      },
    ));

  it('is looked at before the steps behind it run: what is refused then stops there', () => {
    const elsewhere = defineSqlStep({
      up: ['CREATE TABLE elsewhere (x)'],
      down: ['DROP TABLE elsewhere'],
    });
    return withSteps([named('1-table', elsewhere), named('2-schema', schema)], async ({ up }) => {
      const { applied, error } = await up();
      expect(applied).to.deep.equal(['1-table']);
      expect(error?.code).to.equal('TABLE_MISSING');
    });
  });

  it('fires no trigger that comes with it', () => {
    const loud = defineSqlStep({
      up: [
        ...table.up,
        'ALTER TABLE notes ADD COLUMN shout TEXT',
        'CREATE TRIGGER loud AFTER UPDATE ON notes BEGIN DELETE FROM other; END',
      ],
    });
    return withSteps([named('1-table', loud), named('2-fill', backfill)], async ({ up }) => {
      const { applied, error } = await up();
      expect(applied).to.deep.equal(['1-table']);
      expect(error?.code).to.equal('TRIGGERS_WOULD_FIRE');
      expect((await up({}, { allowTriggers: true })).applied).to.deep.equal(['2-fill']);
    });
  });

  it('is missed before anything runs where no plain SQL comes before', () =>
    withSteps([named('1-schema', schema), named('2-table', table)], async ({ up }) => {
      await failureOf('TABLE_MISSING', () => up());
    }));

  for (const [what, sql] of [
    ['a view', 'CREATE VIEW notes AS SELECT 1 AS text'],
    ['an index', 'CREATE INDEX notes ON other (x)'],
  ] as const) {
    it(`is not taken to be there for ${what} of its name`, () =>
      withSteps([named('1-schema', schema)], async ({ up }, path) => {
        asAgentOs(path, (db) => void db.exec(sql));
        await failureOf('TABLE_MISSING', () => up());
      }));
  }
});
