import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { main } from '../../src/cli/main.js';
import { createMigrator, defineBackfill, sql } from '../../src/index.js';
import { bin, collector, expectRefusal, root, runCli, runCommand, useFolder } from '../support/cli.js';
import { anError } from '../support/errors.js';
import { holdLock } from '../support/held-lock.js';
import { expectSafe, FAKE, HIDDEN, hostileTexts } from '../support/hostile-texts.js';
import { projectOf, run } from '../support/project.js';
import { readPage, texts } from '../support/report.js';
import { asAgentOs, backfillStep, failureOf, query, withFolder } from '../support/stores.js';

// Text from a store, a path or a name may hold what a terminal acts on, or what hides text from its reader. It is printed as escapes, whatever
// it is text of, and never begins a line of its own.

const addStep = (store: string, name: string): void =>
  asAgentOs(
    store,
    (db) =>
      void db
        .prepare(
          `INSERT INTO umzug_backfill_steps (name, kind, status, fingerprint, package_version, started_at, applied_at)
           VALUES (?, 'external', 'applied', 'x', '0.1.0', '2026-01-01', '2026-01-01')`,
        )
        .run(name),
  );

describe('characters that a terminal acts on, or that a reader does not see', () => {
  const folder = useFolder();
  const base = (): string => folder.file('base.db');

  before(async () => {
    generateStore({ path: base(), audits: 40 });
    expect((await runCli(['up', '--no-backup', '--db-path', base()])).code).to.equal(0);
  });

  it('are printed as escapes, and JSON stays equal, whatever the text', async () => {
    const store = folder.file('random.db');
    copyFileSync(base(), store);
    addStep(store, 'external');
    let name = 'external';
    await fc.assert(
      fc.asyncProperty(hostileTexts, async (text) => {
        asAgentOs(store, (db) =>
          db.prepare('UPDATE umzug_backfill_steps SET name = ? WHERE name = ?').run(text, name),
        );
        name = text;
        const args = ['executed', '--db-path', store];
        const plain = await runCli(args);
        expectSafe(plain.stdout + plain.stderr, 'executed');
        const program = await runCli([...args, '--json']);
        expectSafe(program.stdout, 'executed --json');
        expect(program.json().steps).to.include(
          query(
            store,
            `SELECT name FROM umzug_backfill_steps
          WHERE kind = 'external'`,
          )[0],
        );
        expectSafe((await runCli(['status', '--db-path', store])).stdout, 'status');
      }),
      { numRuns: 50 },
    );
  });

  it('keep a table aligned, whose columns are as wide as the escapes', async () => {
    const store = folder.file('aligned.db');
    copyFileSync(base(), store);
    addStep(store, '000\u200b\u202e\u001b[2J');
    asAgentOs(store, (db) =>
      db
        .prepare('INSERT INTO umzug_backfill_skips VALUES (?, ?, ?, ?, 1)')
        .run(backfillStep.name, '\u200b\u001b[2J', '\u202ex', 'y\nz'),
    );
    for (const args of [['status'], ['skips'], ['status', '--lang', 'zh']]) {
      const { stdout } = await runCli([...args, '--db-path', store]);
      expect(stdout).to.include('\\u202e');
      const wide = /[\p{Script=Han}\u3000-\u303f\uff01-\uff60]/gu;
      const lines = stdout.split('\n').filter((line) => /^[│┌├└]/.test(line));
      expect(
        new Set(lines.map((line) => line.length + (line.match(wide)?.length ?? 0))).size,
        stdout,
      ).to.equal(1);
    }
  });

  it('are printed as escapes where the holder of the run lock has such a name', async () => {
    const store = folder.file('locked.db');
    generateStore({ path: store, audits: 40 });
    const end = holdLock(store, {
      host: `h\u001b[2J\n${FAKE}: x\u202e\u009b`,
      since: `s\u001b[95m\r\n${FAKE}`,
    });
    try {
      for (const args of [['status'], ['up', '--lock-timeout', '0'], ['up', '--lock-timeout', '0.2']])
        for (const form of [[], ['--json'], ['--lang', 'zh']]) {
          const { stdout, stderr } = await runCli([...args, ...form, '--db-path', store]);
          expectSafe(stdout + stderr, args.join(' '));
          expect(stdout + stderr).to.include('\\u202e');
        }
    } finally {
      end();
    }
  });

  it('are printed as escapes in the path of a store, and a command that names it runs as it stands', () =>
    withFolder(async (home) => {
      for (const [i, odd] of ['a\u001b[2J\u202eb', "it's\u200b \\x", 'a\nb', '\u009b31m'].entries()) {
        const store = join(home, `${i}-${odd}.db`);
        generateStore({ path: store, audits: 20 });
        const { code, stdout, stderr } = await runCli(['up', '--db-path', store]);
        expect(code, stderr).to.equal(0);
        expectSafe(stdout + stderr, 'up');
        const [, command = ''] = /To restore it: umzug-backfill (.*)$/m.exec(stdout) ?? [];
        const restored = await runCommand(['sh', '-c', `'${process.execPath}' '${bin}' ${command}`]);
        expect(restored.code, `${command}\n${restored.stderr}`).to.equal(0);
        expect(restored.stdout).to.include('Restored ');
        expectSafe(restored.stdout + restored.stderr, command);
        for (const args of [
          ['status'],
          ['up', '--backup-dir', `${home}/\u001b[2J\nFAKE`],
          ['report', '--out', store],
        ])
          for (const form of [[], ['--json'], ['--lang', 'zh']]) {
            const told = await runCli([...args, ...form, '--db-path', store]);
            expectSafe(told.stdout + told.stderr, args.join(' '));
          }
      }
    }));

  it('are printed as escapes in arguments that are refused', async () => {
    const odd = `x\u001b[2J\u202e\u009b\n${FAKE}: x`;
    for (const args of [
      [odd],
      ['up', `--${odd}`],
      ['up', '--batch-size', odd],
      ['status', '--lang', odd],
      ['skips', odd],
      ['down', '--to', odd],
      ['create', odd],
      ['lint', odd],
      ['init', '--db-path', odd, '--dry-run'],
      ['status', '--db-path', odd, '--db-path', `${odd}*`],
      ['status', '--db-path', odd],
      ['status', '--database-url', `postgres://${odd}@h/d`],
    ])
      for (const form of [[], ['--json'], ['--lang', 'zh']]) {
        const { stdout, stderr } = await runCli([...args, ...form]);
        expectSafe(stdout + stderr, args.join(' '));
      }
  });

  it('are escapes in errors of the API, which an application prints as they are', async () => {
    const odd = `a\u001b[2J\u202e\u009b\n${FAKE}: x`;
    const { message, hint } = await failureOf('STORE_MISSING', () =>
      createMigrator({ database: join(folder.path, odd), steps: { '001-x': backfillStep } }).status(),
    );
    expectSafe(message, 'message');
    expectSafe(hint, 'hint');
    expect(anError('USAGE', 'a\nb', 'c\u0085').message).to.equal('a\\nb');
  });

  it('are escapes in a report, and set apart from its own text', async () => {
    const type = 'SUPERVISOR\u001b[2J\u202eX\u2067\u200b\u009b';
    const store = folder.file('reported.db');
    copyFileSync(base(), store);
    asAgentOs(store, (db) =>
      db.prepare('UPDATE task_audits SET event_type = ? WHERE audit_id <= 30').run(type),
    );
    const file = folder.file('report.html');
    expect((await runCli(['report', '--out', file, '--db-path', store])).code).to.be.oneOf([0, 5]);
    const page = readPage(file);
    expect(page.text.replaceAll('\n', '')).not.to.match(HIDDEN);
    expect(texts(page, 'bdi')).to.include('SUPERVISOR\\u001b[2J\\u202eX\\u2067\\u200b\\u009b');
  });

  it('are escapes in the labels of metrics', () =>
    withFolder(async (home) => {
      const [path, metrics] = [join(home, 'store.db'), join(home, 'metrics')];
      const db = new Database(path);
      db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, NULL)');
      db.close();
      const fill = defineBackfill({ table: 't', key: 'id', columns: { a: sql('id') } });
      const name = '001-\u202ex\u009b"\\';
      const project = projectOf([{ ...fill, name, path: 'x.ts' }]);
      await run(project, { path }, ['up', '--no-backup', '--metrics-file', metrics]);
      const text = readFileSync(metrics, 'utf8');
      expect(text.replaceAll('\n', '')).not.to.match(HIDDEN);
      expect(text).to.include('{backfill="001-\\\\u202ex\\\\u009b\\"\\\\"}');
    }));

  it('become calls of char() in the SQL of --print-sql, which finds what it should', () =>
    withFolder(async (home) => {
      const odd = '\u001b[2J\u202e\t\u200b';
      const projectIn = (place: string, column: string): void => {
        mkdirSync(join(place, 'steps'), { recursive: true });
        writeFileSync(join(place, 'package.json'), '{ "type": "module" }');
        const api = JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href);
        writeFileSync(
          join(place, 'umzug-backfill.config.js'),
          `import { defineConfig } from ${api}; export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
        );
        const scope = `kind\t= '${odd}' /* ${odd} */`;
        writeFileSync(
          join(place, 'steps/001-fill.js'),
          `import { defineBackfill, sql } from ${api};
          export default defineBackfill({ table: 't', key: 'id', scope: ${JSON.stringify(scope)}, columns: { ${JSON.stringify(column)}: sql('id') } });`,
        );
      };
      const db = new Database(join(home, 'store.db'));
      db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, kind TEXT, a TEXT, "b${odd}" TEXT)`);
      db.prepare(`INSERT INTO t (kind) VALUES (?), (?), ('other')`).run(odd, odd);
      db.close();
      projectIn(home, 'a');
      expect((await runCli(['up', '--no-backup'], { cwd: home })).code).to.equal(0);
      const { stdout } = await runCli(['verify', '--print-sql'], { cwd: home });
      expectSafe(stdout, '--print-sql');
      const { sql: printed } = (await runCli(['verify', '--print-sql', '--json'], { cwd: home })).json();
      expectSafe(printed.join('\n'), '--print-sql --json');
      const [view = '', coverage = ''] = stdout
        .split(/;\n/)
        .filter((part) => /CREATE TEMP VIEW|rows_in_scope/.test(part));
      asAgentOs(join(home, 'store.db'), (reader) => {
        reader.exec(view);
        expect(reader.prepare(coverage).get()).to.include({ rows_in_scope: 2, 'a filled': 2 });
      });
      const other = join(home, 'other');
      projectIn(other, `b${odd}`);
      const args = ['verify', '--print-sql', '--db-path', join(home, 'store.db')];
      const refused = await runCli(args, { cwd: other });
      expectRefusal(refused, 'USAGE', 2);
      expectSafe(refused.stderr, '--print-sql');
    }));

  it('are kept off a terminal without reading from it before there is a question', async () => {
    let isOpened = false;
    const code = await main(['pending', '--db-path', base()], {
      env: {},
      folder: root,
      get stdin() {
        isOpened = true;
        return process.stdin;
      },
      stdout: collector(),
      stderr: collector(),
    });
    expect([code, isOpened]).to.deep.equal([0, false]);
  });

  it('leave the help, and what this program prints itself, as they are', async () => {
    for (const args of [
      ['--help'],
      ['up', '--help'],
      ['up', '--dry-run', '--lang', 'zh', '--db-path', base()],
    ]) {
      const { stdout, code } = await runCli(args);
      expect(code).to.equal(0);
      expect(stdout).not.to.match(/\\(?:u[\da-f]{4}|[nrt])/);
    }
  });

  it('are printed in one pass, however many there are', async () => {
    const store = folder.file('large.db');
    copyFileSync(base(), store);
    const text = '\u001b[2J\u202e://a:b\u0085'.repeat(400_000);
    addStep(store, text);
    for (const form of [[], ['--json']]) {
      const { stdout } = await runCli(['executed', ...form, '--db-path', store]);
      expect(stdout.length).to.be.above(text.length);
      expect(stdout).not.to.match(/(?!\n)\p{Cc}/u);
    }
  });
});
