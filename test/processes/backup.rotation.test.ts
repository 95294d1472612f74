import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { expectRefusal, root } from '../support/cli.js';
import { asBackup, copiesOf, type StoreState, stateOf } from '../support/copies.js';
import { interruptedAt, killedAt } from '../support/failpoints.js';
import { at, commandsOn } from '../support/lock-runs.js';
import { on, useStores } from '../support/on-store.js';
import { asAgentOs } from '../support/stores.js';

const schemaStep = 'v021-1-decision-columns';
const step = 'v021-2-decision-fields';

/** Paths of backups as of earlier days, oldest first, each as good as the store is now. */
function plantBackups(store: string, names: readonly string[]): string[] {
  return names.map((name) => {
    copyFileSync(store, `${store}.backup-${name}`);
    return `${store}.backup-${name}`;
  });
}

/** Runs an `up` whose verification fails, as somebody changes a value that its first batch has filled. */
async function failUp(store: string): Promise<void> {
  const run = "new (require('better-sqlite3'))(process.argv[1]).exec(process.argv[2])";
  const change = `UPDATE task_audits SET source_event_ts = 'x' WHERE audit_id =
    (SELECT min(audit_id) FROM task_audits WHERE source_event_ts IS NOT NULL)`;
  const result = await interruptedAt(
    ['up', '--db-path', store, '--keep-backups', '1', '--batch-size', '100'],
    { at: 'commit', nth: 9 },
    [process.execPath, '-e', run, store, change],
    { cwd: root },
  );
  expectRefusal(result, 'VERIFICATION_FAILED', 5);
}

describe('rotation', () => {
  const copy = useStores();
  const old = ['20240101T000000Z', '20240101T000000Z-2', '20240101T000000Z-10', '20250101T000000Z'];

  it('keeps the three newest once a run is verified, or as many as are asked for', async () => {
    const store = copy('wal');
    const planted = plantBackups(store, old);
    const { run } = on(store);
    const first = await run(['up', '--json']);
    const made = first.json().backup.path;
    expect(first.json().removedBackups).to.have.members(planted.slice(0, 2));
    expect(copiesOf(store)).to.have.members([...planted.slice(2), made]);
    expect(first.stderr.split('\n').filter((line) => line.includes('"backup_removed"'))).to.have.length(2);
    expect((await run(['up', '--json'])).json()).not.to.have.property('removedBackups');
    const again = (await run(['backfill', step, '--rescan', '--json', '--keep-backups', '2'])).json();
    expect(copiesOf(store)).to.have.members([made, again.backup.path]);
  });

  it('never takes the one that was made last, though a clock that was set back makes it look old', async () => {
    const store = copy('wal');
    plantBackups(store, ['20990101T000000Z', '20990102T000000Z', '20990103T000000Z']);
    const { backup } = (await on(store).run(['up', '--json', '--keep-backups', '2'])).json();
    expect(copiesOf(store)).to.have.members([`${store}.backup-20990103T000000Z`, backup.path]);
    expect((await on(store).run(['restore', '--json'])).json().from).to.equal(backup.path);
  });

  it('never takes the one that was made last, of several of one second of which the first is gone', async () => {
    const store = copy('wal');
    plantBackups(store, ['20260120T100000Z-2']);
    await commandsOn(store).up({}, { ...at('2026-01-20T10:00:00Z'), backup: { keep: 1 } });
    expect(copiesOf(store)).to.deep.equal([`${store}.backup-20260120T100000Z-3`]);
  });

  it('takes nothing but whole backups, with what SQLite may have left beside them', async () => {
    const store = copy('wal');
    const [gone = ''] = plantBackups(store, ['20240101T000000Z']);
    const others = [
      ...[
        '.backup-notes',
        '.backup-20240101T000000Z.txt',
        '.backup-20240101',
        '.before-restore-20240101T000000Z',
      ],
      ...['2.backup-20240101T000000Z', '.backup-20240101T000000Z-x'],
    ].map((ending) => store + ending);
    for (const path of [...others, `${gone}-wal`, `${gone}-shm`, `${gone}-journal`]) writeFileSync(path, '');
    const { backup } = (await on(store).run(['up', '--json', '--keep-backups', '1'])).json();
    const left = readdirSync(dirname(store)).map((name) => `${dirname(store)}/${name}`);
    expect(left).to.have.members([...others, backup.path, store, `${store}.lock`]);
  });

  it('never takes those of another store of the same name out of one folder', async () => {
    const [one, two] = [copy('wal'), copy('delete')];
    const folder = `${dirname(one)}/backups`;
    mkdirSync(folder);
    const options = ['--backup-dir', folder, '--keep-backups', '1'];
    const were = [stateOf(one), stateOf(two)];
    for (const store of [one, two]) await on(store).run(['up', ...options]);
    expect(readdirSync(folder)).to.have.length(2);
    for (const store of [one, two]) await on(store).run(['backfill', step, '--rescan', ...options]);
    expect(readdirSync(folder)).to.have.length(2);
    // Each finds its own as the newest.
    for (const [i, store] of [one, two].entries()) {
      await on(store).run(['down', '--to', '0', ...options]);
      await on(store).run(['up', ...options]);
      const { from } = (await on(store).run(['restore', '--json', '--backup-dir', folder])).json();
      expect(stateOf(from).header).to.deep.equal(asBackup(were[i] as StoreState).header);
      await on(store).run(['status', '--check', '--json'], 3);
    }
  });

  it('takes nothing that the store’s ledger does not know out of a folder that other machines may use', async () => {
    const store = copy('wal');
    const folder = `${dirname(store)}/backups`;
    mkdirSync(folder);
    const options = ['--backup-dir', folder, '--keep-backups', '1', '--json'];
    const { backup } = (await on(store).run(['up', ...options])).json();
    const theirs = backup.path.replace(/\d{8}T\d{6}Z/, '20240101T000000Z');
    copyFileSync(backup.path, theirs);
    const again = (await on(store).run(['backfill', step, '--rescan', ...options])).json();
    expect(again.removedBackups).to.deep.equal([backup.path]);
    expect(readdirSync(folder).map((name) => `${folder}/${name}`)).to.have.members([
      theirs,
      again.backup.path,
    ]);
  });

  it('does not begin without a backup of the run’s own', async () => {
    const store = copy('wal');
    const planted = plantBackups(store, old);
    await on(store).run(['up', '--no-backup', '--keep-backups', '1']);
    expect(copiesOf(store)).to.have.members(planted);
  });

  it('does not begin with `down`, which nothing verifies', async () => {
    const store = copy('wal');
    await on(store).run(['up']);
    const planted = plantBackups(store, old);
    await on(store).run(['down', '--to', '0', '--keep-backups', '1']);
    expect(copiesOf(store))
      .to.include.members(planted)
      .and.to.have.length(old.length + 2);
  });
});

describe('rotation, after runs that fail', () => {
  const copy = useStores();
  const keepOne = ['--keep-backups', '1'];

  it('leaves the first backup in place through five of them in a row', async () => {
    const store = copy('wal');
    const was = stateOf(store);
    const [planted = ''] = plantBackups(store, ['20240101T000000Z']);
    await failUp(store);
    const [first = ''] = copiesOf(store).filter((path) => path !== planted);
    for (let run = 2; run <= 5; run += 1) {
      expectRefusal(await on(store).run(['up', ...keepOne], 5), 'VERIFICATION_FAILED', 5);
      expect(copiesOf(store), `run ${run}`).to.have.members([planted, first]);
    }
    expect(stateOf(first)).to.deep.equal(asBackup(was));
    // Once it is mended and verified, the older ones may go.
    const { backup } = (await on(store).run(['backfill', step, '--rescan', '--json', ...keepOne])).json();
    expect(copiesOf(store)).to.deep.equal([backup.path]);
  });

  it('leaves it in place, too, when each was taken back before the next', async () => {
    const store = copy('delete');
    const was = stateOf(store);
    for (let run = 1; run <= 5; run += 1) {
      await failUp(store);
      // The value that was changed stays, and goes with its column.
      await on(store).run(['down', '--to', '0', '--yes', ...keepOne]);
      expect(copiesOf(store), `run ${run}`).to.have.length(2 * run);
    }
    for (const path of copiesOf(store)) expect(stateOf(path).header.integrity_check).to.equal('ok');
    const { path } = (await on(store).run(['up', '--json', ...keepOne])).json().backup;
    expect(copiesOf(store)).to.deep.equal([path]);
    expect(stateOf(path)).to.deep.equal(was);
  });

  it('does not begin while any step is half done, though every backfill is verified', async () => {
    const store = copy('wal');
    await on(store).run(['up']);
    const planted = plantBackups(store, ['20240101T000000Z']);
    asAgentOs(store, (db) =>
      db.exec(`UPDATE umzug_backfill_steps SET status = 'applying' WHERE name = '${schemaStep}'`),
    );
    await on(store).run(['backfill', step, '--rescan', ...keepOne]);
    expect(copiesOf(store)).to.include.members(planted);
  });

  it('does not begin after one that was killed, and goes on after it was killed itself', async () => {
    const store = copy('wal');
    const planted = plantBackups(store, ['20240101T000000Z', '20240102T000000Z', '20240103T000000Z']);
    const args = ['up', '--db-path', store, ...keepOne];
    await killedAt(args, { at: 'statement', detail: 'UPDATE "task_audits"' });
    // What another step needs meanwhile is done, and verifies nothing of the run.
    asAgentOs(store, (db) => db.exec('DROP INDEX idx_task_audits_decision_lag'));
    const { recreated } = (await on(store).run(['up', '--to', schemaStep, '--json', ...keepOne])).json();
    expect(recreated).to.deep.equal([schemaStep]);
    expect(copiesOf(store)).to.have.length(4).and.to.include.members(planted);
    await killedAt(args, { at: 'statement', detail: 'INSERT INTO umzug_backfill_verifications' });
    expect(copiesOf(store)).to.have.length(4).and.to.include.members(planted);
    await killedAt(args, { at: 'rotate' });
    expect(copiesOf(store)).to.have.length(3).and.to.include.members(planted.slice(1));
    await on(store).run(['status', '--check']);
    const { backup } = (await on(store).run(['backfill', step, '--rescan', '--json', ...keepOne])).json();
    expect(copiesOf(store)).to.deep.equal([backup.path]);
  });
});
