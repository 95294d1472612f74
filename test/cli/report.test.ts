import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { expectRefusal, root, runCli, snapshotFiles, spawnCli, useFolder } from '../support/cli.js';
import { on } from '../support/on-store.js';
import { asAgentOs } from '../support/stores.js';

const backfillStep = 'v021-2-decision-fields';
const HEAD = '<!doctype html>\n<!-- A report of umzug-backfill -->\n';

describe('report', () => {
  const folder = useFolder();
  let copies = 0;

  before(async () => {
    generateStore({ path: folder.file('v20.db'), audits: 400 });
    copyFileSync(folder.file('v20.db'), folder.file('v21.db'));
    await on(folder.file('v21.db')).run(['up', '--no-backup']);
  });

  /** A copy of a store in a folder of its own, and the path of a report beside it. */
  function copy(name: 'v20' | 'v21'): { store: string; file: string } {
    copies += 1;
    const own = folder.file(`copy-${copies}`);
    mkdirSync(own);
    copyFileSync(folder.file(`${name}.db`), join(own, 'store.db'));
    return { store: join(own, 'store.db'), file: join(own, 'report.html') };
  }

  const break21 = (store: string): void =>
    asAgentOs(store, (db) => void db.exec('UPDATE task_audits SET source_event_ts = NULL'));

  it('writes one file for this user alone, again and again, and leaves the store as it was', async () => {
    const { store, file } = copy('v21');
    const { look } = on(store);
    for (let i = 0; i < 2; i += 1) {
      const { stdout, stderr } = await look(['report', '--out', file]);
      expect(stdout).to.include(`Report: ${file}`).and.include(`${backfillStep}: warn`);
      expect(stderr).to.equal('');
      expect(readFileSync(file, 'utf8').startsWith(HEAD)).to.equal(true);
      expect(statSync(file).mode & 0o777).to.equal(0o600);
    }
    const json = (await look(['report', '--out', file, '--json'])).json();
    expect(json).to.deep.include({ command: 'report', path: file, bytes: statSync(file).size });
    expect(json.backfills).to.deep.equal([{ name: backfillStep, verdict: 'warn' }]);
    expect(readdirSync(join(file, '..'))).not.to.include.members(['store.db.lock']);
  });

  it('writes into the current folder unless it is told otherwise', async () => {
    const { store, file } = copy('v21');
    const cwd = join(file, '..');
    writeFileSync(
      join(cwd, 'umzug-backfill.config.mjs'),
      `export { default } from ${JSON.stringify(pathToFileURL(join(root, 'dist/umzug-backfill.config.js')).href)};`,
    );
    for (const name of ['migrations', 'backfills']) mkdirSync(join(cwd, name));
    const { code, stdout } = await runCli(['report', '--db-path', store], { cwd });
    expect(code, stdout).to.equal(0);
    expect(existsSync(join(cwd, 'umzug-backfill-report.html'))).to.equal(true);
  });

  it('with --dry-run says where to, and writes nothing', async () => {
    const { store, file } = copy('v21');
    expect((await on(store).look(['report', '--out', file, '--dry-run'])).stdout).to.include(file);
    expect(existsSync(file)).to.equal(false);
  });

  it('ends with 5 when a check failed, and has written what', async () => {
    const { store, file } = copy('v21');
    break21(store);
    const result = await runCli(['report', '--out', file, '--db-path', store]);
    expectRefusal(result, 'VERIFICATION_FAILED', 5);
    const page = readFileSync(file, 'utf8');
    expect(page).to.include('class="badge fail"');
    // The command runs as it stands.
    expect(page).to.include(`umzug-backfill backfill --db-path ${store} ${backfillStep} --rescan`);
  });

  it('refuses to write over anything else, before it does anything', async () => {
    const { store, file } = copy('v21');
    writeFileSync(file, 'a diary');
    const asked: readonly (readonly [code: string, path: string])[] = [
      ['OUTPUT_EXISTS', file],
      ['OUTPUT_IS_STORE', store],
      ['OUTPUT_IS_STORE', `${store}-wal`],
      ['OUTPUT_UNWRITABLE', join(file, 'x/report.html')],
    ];
    for (const [code, path] of asked) {
      const before = snapshotFiles(store);
      expectRefusal(await runCli(['report', '--out', path, '--db-path', store]), code, 1);
      expectRefusal(await runCli(['up', '--report', path, '--db-path', store]), code, 1);
      expect(snapshotFiles(store)).to.deep.equal(before);
    }
    expect(readFileSync(file, 'utf8')).to.equal('a diary');
  });
});

describe('up --report', () => {
  const folder = useFolder();
  const store = (): string => folder.file('store.db');
  const file = (): string => folder.file('after-up.html');

  before(() => generateStore({ path: store(), audits: 400 }));

  it('is refused with --dry-run, which writes nothing', async () => {
    const result = await runCli(['up', '--dry-run', '--report', file(), '--db-path', store()]);
    expectRefusal(result, 'USAGE', 2);
  });

  it('writes the report after the run, with its verdict', async () => {
    const { stdout } = await on(store()).run(['up', '--report', file()]);
    expect(stdout).to.include('applied').and.include(`Report: ${file()}`);
    expect(readFileSync(file(), 'utf8')).to.include('class="badge warn"');
  });

  it('writes it when there is nothing to do, and leaves the store as it was', async () => {
    const { stdout } = await on(store()).look(['up', '--report', file()]);
    expect(stdout).to.include('Nothing to do').and.include('Report:');
  });

  it('writes it when the verification failed, and tells of that', async () => {
    asAgentOs(store(), (db) =>
      db.exec(`UPDATE task_audits SET source_event_ts = 'x' WHERE source_event_ts IS NOT NULL;
        UPDATE umzug_backfill_runs SET status = 'filled'`),
    );
    const result = await runCli(['up', '--report', file(), '--json', '--db-path', store()]);
    expect(result.code, result.stdout).to.equal(5);
    expect(result.json().error.code).to.equal('VERIFICATION_FAILED');
    expect(result.json().report.path).to.equal(file());
    expect(Object.keys(result.json().report)).to.deep.equal(['path', 'bytes', 'backfills', 'error']);
    expect(readFileSync(file(), 'utf8')).to.include('class="badge fail"');
  });
});

describe('the library for charts', () => {
  const folder = useFolder();

  /** The scripts that a command loads. */
  async function loaded(...args: readonly string[]): Promise<string> {
    const into = folder.file(`loaded-${args[0]}`);
    const { code, stderr } = await spawnCli([...args, '--db-path', folder.file('store.db')], {
      env: { NODE_V8_COVERAGE: into },
    });
    expect(code, stderr).to.equal(0);
    return readdirSync(into)
      .map((name) => readFileSync(join(into, name), 'utf8'))
      .join();
  }

  it('is loaded by no command that does not draw', async () => {
    generateStore({ path: folder.file('store.db'), audits: 100 });
    for (const args of [['up'], ['status'], ['verify']]) {
      expect(await loaded(...args))
        .to.include('commander')
        .and.not.match(/@observablehq|linkedom/);
    }
    expect(await loaded('report', '--out', folder.file('report.html'))).to.match(/@observablehq/);
  });
});
