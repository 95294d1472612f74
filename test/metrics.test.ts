import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { expectRefusal, runCli, snapshotFiles, spawnCli } from './support/cli.js';
import { project } from './support/migrate.js';
import { on } from './support/on-store.js';
import { asAgentOs, insertAudits, withGeneratedStore } from './support/stores.js';

const backfill = 'backfill="v021-2-decision-fields"';

/** The samples of a metrics file by name and labels; every line must be one of the text format. */
function read(path: string): Map<string, number> {
  const text = readFileSync(path, 'utf8');
  expect(text.endsWith('\n')).to.equal(true);
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || /^# (?:HELP|TYPE) umzug_backfill_[a-z_]+ \S/.test(line)) continue;
    const [, name = '', value] =
      /^(umzug_backfill_[a-z_]+(?:\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})?) (\S+)$/.exec(line) ?? [];
    expect(name, line).not.to.equal('');
    samples.set(name, Number(value));
  }
  return samples;
}

describe('--metrics-file', () => {
  it('tells what a command has done, as its result does', () =>
    withGeneratedStore({ audits: 600, rareShare: 0.1 }, async (path) => {
      const file = join(dirname(path), 'backfill.prom');
      await on(path).run(['up', '--no-backup', '--batch-size', '50', '--metrics-file', file]);
      const status = (await on(path).run(['status', '--json'])).json().steps[1].backfill;
      const samples = read(file);
      const of = (name: string): number | undefined => samples.get(`umzug_backfill_${name}{${backfill}}`);
      expect(of('batches')).to.equal(status.batches);
      expect(of('rows_scanned')).to.equal(status.rowsScanned);
      expect(of('cells_filled')).to.equal(status.cellsFilled);
      expect(of('cells_skipped')).to.be.above(0);
      expect(of('batch_duration_seconds_count')).to.equal(status.batches);
      expect(samples.get(`umzug_backfill_verification_verdict{${backfill},verdict="warn"}`)).to.equal(1);
      expect(samples.get('umzug_backfill_command_exit_code{command="up"}')).to.equal(0);
      expect(samples.get('umzug_backfill_command_end_timestamp_seconds{command="up"}')).to.be.closeTo(
        Date.now() / 1000,
        600,
      );
      expect(statSync(file).mode & 0o044).to.equal(0o044);
      await on(path).run(['down', '--no-backup', '--metrics-file', file]);
      const after = read(file);
      expect(after.get(`umzug_backfill_cells_reverted{${backfill}}`)).to.equal(status.cellsFilled);
      expect(after.has(`umzug_backfill_batches{${backfill}}`), 'of the command before').to.equal(false);
      expect(readdirSync(dirname(path)).filter((name) => name.includes('prom'))).to.deep.equal([
        'backfill.prom',
      ]);
    }));

  it('tells of a command that failed, with its exit code', () =>
    withGeneratedStore({ audits: 40 }, async (path) => {
      const file = join(dirname(path), 'backfill.prom');
      await on(path).run(['up', '--no-backup']);
      asAgentOs(path, (db) => {
        insertAudits(db, [{}]);
        db.exec('DROP INDEX idx_task_audits_decision_lag');
        db.exec(`CREATE TRIGGER looks AFTER UPDATE ON task_audits BEGIN SELECT 1; END`);
      });
      await on(path).run(['up', '--no-backup', '--metrics-file', file], 1);
      expect(read(file).get('umzug_backfill_command_exit_code{command="up"}')).to.equal(1);
    }));

  it('never takes the store, or what is not its own, for its file', () =>
    withGeneratedStore({ audits: 20 }, async (path) => {
      const folder = dirname(path);
      symlinkSync(path, join(folder, 'link.prom'));
      linkSync(path, join(folder, 'hard.prom'));
      writeFileSync(join(folder, 'notes.txt'), 'mine');
      mkdirSync(join(folder, 'folder'));
      for (const [name, code] of [
        ['store.db', 'OUTPUT_IS_STORE'],
        ['store.db-wal', 'OUTPUT_IS_STORE'],
        ['store.db-journal', 'OUTPUT_IS_STORE'],
        ['store.db.lock', 'OUTPUT_IS_STORE'],
        ['link.prom', 'OUTPUT_IS_STORE'],
        ['hard.prom', 'OUTPUT_IS_STORE'],
        ['notes.txt', 'OUTPUT_EXISTS'],
        ['folder', 'OUTPUT_UNWRITABLE'],
        ['nowhere/backfill.prom', 'OUTPUT_UNWRITABLE'],
      ] as const) {
        const before = snapshotFiles(path);
        const result = await runCli(['up', '--db-path', path, '--metrics-file', join(folder, name)]);
        expectRefusal(result, code, 1);
        expect(snapshotFiles(path)).to.deep.equal(before);
      }
      expect(readFileSync(join(folder, 'notes.txt'), 'utf8')).to.equal('mine');
    }));

  it('leaves nothing half written where a folder has taken its place meanwhile', () =>
    withGeneratedStore({ audits: 20 }, async (path) => {
      const folder = dirname(path);
      const file = join(folder, 'backfill.prom');
      const onEvent = () => void mkdirSync(file, { recursive: true });
      const loadMigrator = async () => ({ project, path, onEvent });
      const result = await runCli(['up', '--db-path', path, '--no-backup', '--metrics-file', file], {
        embedding: { program: 'umzug-backfill', loadMigrator },
      });
      expect(result.code).to.equal(0);
      expect(result.stderr).to.match(/"event":"warning".*metrics file.*is a folder/);
      expect(readdirSync(folder).filter((name) => name.includes('prom'))).to.deep.equal(['backfill.prom']);
      expect(readdirSync(file)).to.deep.equal([]);
    }));

  it('migrates all the same when its folder is gone in the end, and says so', () =>
    withGeneratedStore({ audits: 3000 }, async (path) => {
      const folder = join(dirname(path), 'metrics');
      mkdirSync(folder);
      const result = await spawnCli(
        [
          'up',
          '--db-path',
          path,
          '--no-backup',
          '--batch-size',
          '50',
          '--metrics-file',
          join(folder, 'backfill.prom'),
        ],
        { onStderr: () => rmSync(folder, { recursive: true, force: true }) },
      );
      expect(result.code).to.equal(0);
      expect(result.stderr).to.match(/"event":"warning".*metrics file.*folder does not exist/);
    }));
});
