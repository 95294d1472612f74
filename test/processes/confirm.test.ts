import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { snapshotFiles } from '../support/cli.js';
import { on } from '../support/on-store.js';
import { asAgentOs, withGeneratedStore } from '../support/stores.js';
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
        expect(screenOf(output)).to.match(/COLUMN_HAS_VALUES: .*\n.*--yes.*\n+Go on all the same\? \[y\/N\]/);
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
