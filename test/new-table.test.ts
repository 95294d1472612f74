import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineBackfill } from '../src/backfill/define.js';
import { sql } from '../src/backfill/values.js';
import { defineConfig, type Project } from '../src/config.js';
import { defineSchemaStep } from '../src/steps/schema-step.js';
import { defineSqlStep } from '../src/steps/sql-step.js';
import type { StepDefinition } from '../src/steps/step.js';
import { asAgentOs, withFolder } from './support/stores.js';

const { up } = await import('../src/migrator/up.js');
const { down } = await import('../src/migrator/down.js');
const { planUp } = await import('../src/migrator/plan.js');

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

const withSteps = (
  definitions: Readonly<Record<string, StepDefinition>>,
  act: (options: { project: Project; path: string; backup: false }) => Promise<void>,
): Promise<void> =>
  withFolder(async (folder) => {
    const path = join(folder, 'notes.db');
    const db = new Database(path);
    db.exec('CREATE TABLE other (x)');
    db.close();
    const steps = Object.entries(definitions).map(([name, step]) => ({ ...step, name, path: `${name}.ts` }));
    await act({
      project: { config: defineConfig({ database: { path }, steps: ['.'] }), steps },
      path,
      backup: false,
    });
  });

describe('a table that a step of plain SQL makes', () => {
  it('can be changed and filled by the steps behind it, in one `up`', () =>
    withSteps({ '1-table': table, '2-schema': schema, '3-fill': backfill }, async (options) => {
      expect((await planUp(options)).steps.map(({ step, awaits }) => [step, awaits])).to.deep.equal([
        ['1-table', undefined],
        ['2-schema', '1-table'],
        ['3-fill', '1-table'],
      ]);
      const { applied, error, verifications } = await up(options);
      expect(error).to.equal(undefined);
      expect(applied).to.deep.equal(['1-table', '2-schema', '3-fill']);
      expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
      const rows = asAgentOs(options.path, (db) => db.prepare('SELECT shout FROM notes').pluck().all());
      expect(rows).to.deep.equal(['A', 'B']);
      const reverted = await down({ ...options, isConfirmed: true }, { to: 0 });
      expect(reverted.error).to.equal(undefined);
      const left = asAgentOs(options.path, (db) =>
        db.prepare('SELECT name FROM sqlite_schema').pluck().all(),
      );
      expect(left).to.deep.equal(['other']);
    }));

  it('is looked at before the steps behind it run: what is refused then stops there', () =>
    withSteps(
      {
        '1-table': defineSqlStep({ up: ['CREATE TABLE elsewhere (x)'], down: ['DROP TABLE elsewhere'] }),
        '2-schema': schema,
      },
      async (options) => {
        const { applied, error } = await up(options);
        expect(applied).to.deep.equal(['1-table']);
        expect(error?.code).to.equal('TABLE_MISSING');
      },
    ));

  it('fires no trigger that comes with it', () =>
    withSteps(
      {
        '1-table': defineSqlStep({
          up: [
            ...table.up,
            'ALTER TABLE notes ADD COLUMN shout TEXT',
            'CREATE TRIGGER loud AFTER UPDATE ON notes BEGIN DELETE FROM other; END',
          ],
        }),
        '2-fill': backfill,
      },
      async (options) => {
        const { applied, error } = await up(options);
        expect(applied).to.deep.equal(['1-table']);
        expect(error?.code).to.equal('TRIGGERS_FIRE');
        expect((await up({ ...options, allowsTriggers: true } as typeof options)).applied).to.deep.equal([
          '2-fill',
        ]);
      },
    ));

  it('is missed before anything runs where no plain SQL comes before', () =>
    withSteps({ '1-schema': schema, '2-table': table }, async (options) => {
      const failed = await up(options).catch((thrown: { code: string }) => thrown.code);
      expect(failed).to.equal('TABLE_MISSING');
    }));
});
