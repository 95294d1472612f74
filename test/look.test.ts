import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { defineBackfill, defineSchemaStep } from '../src/index.js';
import { project, withPlainStore } from './support/migrate.js';
import { commandsOf, named, projectOf } from './support/project.js';
import { asAgentOs, change, failureOf, withFolder } from './support/stores.js';

describe('a look at a store that another run changes meanwhile', () => {
  it('sees the store as it was at its beginning, from its first statement to its last', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'store.db');
      change(path, 'PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)');
      change(path, `INSERT INTO t (a) VALUES ('one')`);
      let meanwhile: readonly string[] = [];
      const filling = defineBackfill({
        table: 't',
        key: 'id',
        columns: ['b'],
        reads: ['a'],
        process: (rows) => {
          for (const sql of meanwhile) change(path, sql);
          meanwhile = [];
          return rows.map(({ a }) => ({ b: String(a) }));
        },
      });
      const making = defineSchemaStep({
        table: 't',
        columns: { c: 'TEXT' },
        indexes: { t_by_c: { columns: ['c'] } },
      });
      const { plan } = commandsOf(projectOf([named('1-fill', filling), named('2-make', making)]), { path });
      const statements = async (): Promise<string[]> =>
        (await plan(['up'])).steps[1].statements.map(({ sql }: { sql: string }) => sql);
      const first = await statements();
      expect(first).to.have.length(2);
      // The backfill is looked at before the schema step. Half of it would look as if somebody else had made the index.
      meanwhile = first;
      expect(await statements()).to.deep.equal(first);
      expect(meanwhile).to.deep.equal([]);
      expect(await statements()).to.deep.equal([]);
    }));

  it('keeps nobody from writing when it is over', () =>
    withPlainStore(
      async (path) => {
        const { plan, status } = commandsOf(project, { path });
        await failureOf('STEP_UNKNOWN', () => plan(['up', '--to', 'none']));
        await status();
        asAgentOs(path, (db) => {
          db.pragma('busy_timeout = 0');
          db.exec('BEGIN EXCLUSIVE; COMMIT');
        });
      },
      [],
      { journalMode: 'delete' },
    ));
});
