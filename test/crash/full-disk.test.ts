import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { expectRefusal, runCli, useFolder } from '../support/cli.js';
import { copiesOf, copyOf, filesOf, overwrite } from '../support/copies.js';
import { expectIntact, expectLedger } from '../support/expect-ledger.js';
import { differences, type State } from '../support/expect-same.js';
import { interruptedAt, killedAt, type Point } from '../support/failpoints.js';
import { type Mode, modes, on, useStores } from '../support/on-store.js';
import { actualCells, type Cells } from '../support/reference.js';
import { type SmallDisk, useSmallDisks } from '../support/small-disk.js';
import { lasting, stateOf } from '../support/store-state.js';

const batches = ['--batch-size', '50'];

/** Where in `up` the disk is filled: what comes next needs more of it. */
const points: readonly (Point & { readonly title: string })[] = [
  { title: 'before the columns are added', at: 'statement', detail: 'INSERT INTO umzug_backfill_steps' },
  { title: 'before an index is made', at: 'commit', nth: 3 },
  {
    title: 'when the rows of a batch have been changed',
    at: 'statement',
    detail: 'UPDATE "task_audits"',
    nth: 3,
  },
  { title: 'between two batches', at: 'commit', nth: 10 },
  {
    title: 'before the verdict is recorded',
    at: 'statement',
    detail: "UPDATE umzug_backfill_steps SET status = 'applied'",
    nth: 2,
  },
];

function storeOn(disk: SmallDisk, from: string): string {
  const store = join(disk.path, 'store.db');
  copyFileSync(from, store);
  return store;
}

describe('a full disk', () => {
  const copy = useStores();
  const mountDisk = useSmallDisks();
  const whole: Partial<Record<Mode, State>> = {};

  before(async () => {
    for (const mode of modes) {
      const store = copy(mode);
      await on(store).run(['up', ...batches]);
      whole[mode] = lasting(stateOf(store));
    }
  });

  for (const mode of modes) {
    for (const { title, ...point } of points) {
      it(`ends \`up\` with STORE_FULL ${title}, and \`up\` completes once there is room (${mode})`, async () => {
        const disk = mountDisk(4000);
        const store = storeOn(disk, copy(mode));
        const cells: Map<string, Cells> = actualCells(store);
        const full = await interruptedAt(['up', '--db-path', store, ...batches], point, disk.fill);
        expect(disk.free()).to.be.lessThan(100_000);
        expectRefusal(full, 'STORE_FULL', 1);
        await on(store).look(['status', '--check'], 3);
        disk.clear();
        expectIntact(store);
        expectLedger(store, cells);
        const { verifications } = (await on(store).run(['up', '--json', ...batches])).json();
        expect(verifications).to.have.length(1);
        expect(differences(lasting(stateOf(store)), whole[mode] as State)).to.deep.equal([]);
        expect(copiesOf(store)).to.have.length(1);
      });
    }
  }

  for (const mode of modes) {
    it(`ends \`up\` while it makes the backup, of which nothing is left (${mode})`, async () => {
      const disk = mountDisk(4000);
      const store = storeOn(disk, copy(mode));
      for (const detail of ['made', 'begun']) {
        const was = filesOf(store);
        const full = await interruptedAt(['up', '--db-path', store], { at: 'copy', detail }, disk.fill);
        expectRefusal(full, 'STORE_FULL', 1);
        disk.clear();
        expect(filesOf(store)).to.deep.equal(was);
      }
      await on(store).run(['up', ...batches]);
      expect(differences(lasting(stateOf(store)), whole[mode] as State)).to.deep.equal([]);
    });

    it(`ends \`down\` in a batch and before it drops a column, and \`down\` completes (${mode})`, async () => {
      const disk = mountDisk(6000);
      const store = storeOn(disk, copy(mode));
      const v20 = stateOf(store);
      await on(store).run(['up', ...batches]);
      const down = ['down', '--to', '0', '--db-path', store, ...batches];
      for (const point of [
        { at: 'statement', detail: 'UPDATE "task_audits"', nth: 2 },
        { at: 'statement', detail: 'DROP INDEX' },
      ]) {
        const full = await interruptedAt(down, point, disk.fill);
        disk.clear();
        expectRefusal(full, 'STORE_FULL', 1);
        expectIntact(store);
      }
      await on(store).run(down.slice(0, 3));
      expect(differences(stateOf(store), v20)).to.deep.equal([]);
    });

    it(`ends \`restore\`, which leaves the store as it was (${mode})`, async () => {
      const disk = mountDisk(6000);
      const store = storeOn(disk, copy(mode));
      const v20 = stateOf(store);
      await on(store).run(['up', ...batches]);
      const v21 = stateOf(store);
      for (const nth of [1, 2]) {
        // The first copy is the one of the present store, the second is the one that is written into it.
        const point = { at: 'copy', detail: 'begun', nth };
        const full = await interruptedAt(['restore', '--db-path', store], point, disk.fill);
        disk.clear();
        expectRefusal(full, 'STORE_FULL', 1);
        expect(differences(stateOf(store), v21), `copy ${nth}`).to.deep.equal([]);
        expect(copiesOf(store, 'before-restore')).to.have.length(nth - 1);
      }
      await on(store).run(['restore']);
      expect(differences(stateOf(store), v20)).to.deep.equal([]);
    });
  }

  it('ends `restore` of a damaged store, which is not replaced before there is room for both', async () => {
    const disk = mountDisk(4000);
    const store = storeOn(disk, copy('wal'));
    const v20 = stateOf(store);
    const backup = `${store}.backup-20260101T000000Z`;
    copyFileSync(store, backup);
    overwrite(store, 0, Buffer.alloc(100, 0xa5));
    const damaged = filesOf(store);
    for (const { code, ...point } of [
      { at: 'lock', detail: 'taken', code: 'DISK_SPACE_LOW' },
      { at: 'restore', detail: 'taken in', code: 'STORE_FULL' },
      { at: 'restore', detail: 'files saved', code: 'STORE_FULL' },
    ]) {
      const full = await interruptedAt(['restore', backup, '--db-path', store], point, disk.fill);
      disk.clear();
      expectRefusal(full, code, 1);
      expect(filesOf(store)).to.include({ main: damaged.main, wal: damaged.wal });
      expect(readdirSync(disk.path).filter((name) => name.includes('partial'))).to.deep.equal([]);
    }
    await on(store).run(['restore', backup]);
    expect(differences(stateOf(store), v20)).to.deep.equal([]);
  });

  it('without a byte for the lock or for the index of the WAL ends what needs them, and that begins nothing', async () => {
    for (const mode of modes) {
      const disk = mountDisk(4000);
      const store = storeOn(disk, copy(mode));
      const was = filesOf(store);
      const [file = '', ...args] = disk.fill;
      spawnSync(file, args);
      for (const command of [['up'], ['up', '--no-backup']])
        expect(expectRefusal(await runCli([...command, '--db-path', store]), 'STORE_FULL', 1).hint).to.match(
          /^Free disk space/,
        );
      disk.clear();
      expect(filesOf(store)).to.include({ main: was.main, journal: was.journal });
      await on(store).run(['up']);
    }
  });
});

describe('a disk with little room', () => {
  const copy = useStores();
  const mountDisk = useSmallDisks();
  const folder = useFolder();

  /** A store that the disk has room for, to be filled and journaled, but not to be backed up. */
  const short = (): string => storeOn(mountDisk(1500), copy('wal'));

  it('is refused with the figures, and nothing is changed', async () => {
    const store = short();
    const was = filesOf(store);
    for (const form of [[], ['--json']]) {
      const refused = await runCli(['up', '--db-path', store, ...form]);
      const { message, hint } = expectRefusal(refused, 'DISK_SPACE_LOW', 1);
      const figures =
        /^The disk of \S+ has (\S+) MB free, but (\S+) MB is needed: 0\.5 MB for the backup, 0\.5 MB for the journal, 0\.2 MB for what the store grows by$/;
      const [, free, needed] = figures.exec(message) ?? [];
      expect(message).to.match(figures);
      expect(Number(free)).to.be.lessThan(Number(needed));
      expect(hint).to.include('--no-backup').and.to.include('--backup-dir');
      expect(filesOf(store)).to.deep.equal(was);
    }
  });

  for (const [title, options] of [
    ['--no-backup', () => ['--no-backup']],
    ['--backup-dir', () => ['--backup-dir', folder.path]],
  ] as const) {
    it(`is enough with ${title}`, async () => {
      const store = short();
      await on(store).run(['up', ...options()]);
      await on(store).run(['status', '--check']);
    });
  }

  it('is enough to go on with what was killed, once the backup is made', async () => {
    const disk = mountDisk(1900);
    const store = storeOn(disk, copy('wal'));
    await killedAt(['up', '--db-path', store], { at: 'statement', detail: 'UPDATE "task_audits"' });
    expect(disk.free()).to.be.lessThan(1_000_000);
    await on(store).run(['up']);
    expect(copyOf(store)).to.be.a('string');
  });

  it('keeps `restore` from beginning', async () => {
    const store = short();
    copyFileSync(store, folder.file('backup.db'));
    const was = filesOf(store);
    const refused = await runCli(['restore', folder.file('backup.db'), '--db-path', store]);
    const { message } = expectRefusal(refused, 'DISK_SPACE_LOW', 1);
    expect(message).to.include('a copy of the present store').and.to.include('the restored store');
    expect(filesOf(store)).to.deep.equal(was);
    await on(store).run(['restore', folder.file('backup.db'), '--backup-dir', folder.path]);
  });
});
