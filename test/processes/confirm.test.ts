import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { snapshotFiles } from '../support/cli.js';
import { on } from '../support/on-store.js';
import { runOn } from '../support/postgres-runs.js';
import { column, needServer, withDatabase } from '../support/postgres-server.js';
import { loadFromSqlite } from '../support/postgres-stores.js';
import { asAgentOs, withFolder, withGeneratedStore } from '../support/stores.js';
import { hasTerminal, onTerminal, screenOf } from '../support/terminal.js';

const columnsOf = (path: string): unknown[] =>
  asAgentOs(path, (db) => db.prepare(`SELECT name FROM pragma_table_info('task_audits')`).pluck().all());

/** A store of which `down` would drop a column that holds a value of AgentOS's own. */
async function withOwnValue(act: (path: string, home: string) => void): Promise<void> {
  await withGeneratedStore({ audits: 30 }, async (path) => {
    await on(path).run(['up', '--no-backup']);
    await on(path).run(['down', '--no-backup']);
    asAgentOs(path, (db) => db.exec(`UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id = 1`));
    const home = join(dirname(path), 'home');
    mkdirSync(home);
    act(path, home);
  });
}

describe('what wants --yes', () => {
  before(function () {
    if (!hasTerminal()) this.skip();
  });

  for (const answer of ['n\n', '\n', 'yess\n', '\u0004']) {
    it(`is asked for on a terminal, and not done after ${JSON.stringify(answer)}`, () =>
      withOwnValue((path, home) => {
        const store = snapshotFiles(path);
        const { code, output } = onTerminal(['down', '--no-backup', '--db-path', path], home, { answer });
        expect(screenOf(output)).to.match(/COLUMN_HAS_VALUES: .*\n.*--yes.*\n+Continue anyway\? \[y\/N\]/);
        expect(code).to.equal(1);
        expect(snapshotFiles(path)).to.deep.equal(store);
      }));
  }

  for (const answer of ['y\n', 'YES\n']) {
    it(`is done after ${JSON.stringify(answer)}`, () =>
      withOwnValue((path, home) => {
        const { code, output } = onTerminal(['down', '--no-backup', '--db-path', path], home, { answer });
        expect(code, output).to.equal(0);
        expect(columnsOf(path)).not.to.include('source_event_ts');
      }));
  }

  it('is given up on Ctrl-C, on PostgreSQL, too', async function () {
    needServer(this);
    await withDatabase(async ({ url, client }) => {
      await withGeneratedStore({ audits: 30, smallSchema: true }, (path) => loadFromSqlite(path, client));
      await runOn(url, 'up');
      await runOn(url, 'down');
      await client.query(`UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id = 1`);
      await withFolder((home) => {
        const { code, signal, output } = onTerminal(['down', '--database-url', url], home, {
          answer: '\u0003',
          when: '[y/N]',
        });
        expect(output).to.include('COLUMN_HAS_VALUES');
        expect({ code, signal }).to.deep.equal({ code: null, signal: null }); // interrupted, and not by the test
      });
      const own = `SELECT audit_id FROM task_audits WHERE source_event_ts = 'own'`;
      expect(await column(client, own)).to.have.length(1);
    });
  });

  for (const [what, flags, env] of [
    ['with --json', ['--json'], {}],
    ['under CI', [], { CI: 'true' }],
  ] as const) {
    it(`is not asked for ${what}`, () =>
      withOwnValue((path, home) => {
        const { code, output } = onTerminal(['down', '--no-backup', '--db-path', path, ...flags], home, {
          answer: 'y\n',
          env,
        });
        expect(code).to.equal(1);
        expect(output).not.to.include('Go on');
      }));
  }
});
