import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { REPORT_FILE } from '../src/report/default-file.js';
import { findTarget, writeOut } from '../src/store/out-file.js';
import { locateStore, type StoreFiles } from '../src/store/path.js';
import { optionsFor, stoppedAfter, up } from './support/migrate.js';
import { failureOf, withFolder, withGeneratedStore } from './support/stores.js';

const { reportAfter } = await import('../src/report/report.js');

/** Runs `act` with a folder that has a file of some bytes in the place of a store. */
const withStoreFile = (act: (folder: string, store: StoreFiles) => Promise<void> | void): Promise<void> =>
  withFolder((given) => {
    const folder = realpathSync(given);
    writeFileSync(join(folder, 'store.db'), 'the store');
    return act(folder, locateStore(join(folder, 'store.db')));
  });

describe('findTarget', () => {
  it('takes a new file, an empty one, and an earlier report', () =>
    withStoreFile((folder, store) => {
      const file = join(folder, 'report.html');
      expect(findTarget(REPORT_FILE, file, store)).to.equal(file);
      writeFileSync(file, '');
      expect(findTarget(REPORT_FILE, file, store)).to.equal(file);
      writeOut(REPORT_FILE, file, `${REPORT_FILE.head}<p>`);
      expect(findTarget(REPORT_FILE, file, store)).to.equal(file);
    }));

  it('refuses a file that is no report', () =>
    withStoreFile(async (folder, store) => {
      const file = join(folder, 'index.html');
      for (const text of ['<!doctype html>\n<p>Mine</p>', 'x', ` ${REPORT_FILE.head}`]) {
        writeFileSync(file, text);
        await failureOf('OUTPUT_FILE_TAKEN', () => findTarget(REPORT_FILE, file, store));
        expect(readFileSync(file, 'utf8')).to.equal(text);
      }
    }));

  it('refuses the store and what belongs to it, whether it is there or not', () =>
    withStoreFile(async (folder, store) => {
      const endings = [
        '',
        '-wal',
        '-shm',
        '-journal',
        '.lock',
        '.backup-20260101T000000Z',
        '.before-restore-1',
      ];
      for (const ending of endings)
        await failureOf('OUTPUT_OVER_STORE', () => findTarget(REPORT_FILE, `${store.path}${ending}`, store));
      writeFileSync(`${store.path}-wal`, REPORT_FILE.head);
      await failureOf('OUTPUT_OVER_STORE', () => findTarget(REPORT_FILE, `${store.path}-wal`, store));
      expect(findTarget(REPORT_FILE, `${store.path}.html`, store)).to.equal(`${store.path}.html`);
      expect(findTarget(REPORT_FILE, join(folder, 'other-wal'), store)).to.equal(join(folder, 'other-wal'));
    }));

  it('refuses the store under another name: a link, a symbolic link, a folder that is one', () =>
    withStoreFile(async (folder, store) => {
      writeFileSync(store.path, REPORT_FILE.head); // whatever it holds
      linkSync(store.path, join(folder, 'hard.html'));
      symlinkSync(store.path, join(folder, 'soft.html'));
      symlinkSync(folder, join(folder, 'elsewhere'));
      for (const name of ['hard.html', 'soft.html', 'elsewhere/store.db', 'elsewhere/store.db-wal'])
        await failureOf('OUTPUT_OVER_STORE', () => findTarget(REPORT_FILE, join(folder, name), store));
    }));

  it('refuses what is no file, and a folder that is not there', () =>
    withStoreFile(async (folder, store) => {
      mkdirSync(join(folder, 'reports'));
      for (const path of [
        join(folder, 'reports'),
        '/dev/null',
        join(folder, 'none/report.html'),
        `${store.path}/x`,
      ]) {
        const { message, hint } = await failureOf('OUTPUT_UNWRITABLE', () =>
          findTarget(REPORT_FILE, path, store),
        );
        expect(message).to.include(path);
        expect(hint).to.match(/\S/);
      }
    }));
});

describe('writeOut', () => {
  it('writes for this user alone, whoever could read the report before', () =>
    withStoreFile((folder) => {
      const file = join(folder, 'report.html');
      writeFileSync(file, REPORT_FILE.head, { mode: 0o644 });
      writeOut(REPORT_FILE, file, 'new');
      expect(readFileSync(file, 'utf8')).to.equal('new');
      expect(statSync(file).mode & 0o777).to.equal(0o600);
      expect(readdirSync(folder).sort()).to.deep.equal(['report.html', 'store.db']);
    }));

  it('keeps a symbolic link, and writes where it leads', () =>
    withStoreFile((folder, store) => {
      const [link, real] = [join(folder, 'latest.html'), join(folder, 'real.html')];
      writeFileSync(real, REPORT_FILE.head);
      symlinkSync(real, link);
      writeOut(REPORT_FILE, findTarget(REPORT_FILE, link, store), 'new');
      expect(readFileSync(real, 'utf8')).to.equal('new');
      expect(realpathSync(link)).to.equal(real);
    }));

  it('leaves nothing half written', () =>
    withStoreFile(async (folder) => {
      mkdirSync(join(folder, 'report.html'));
      await failureOf('OUTPUT_UNWRITABLE', () => writeOut(REPORT_FILE, join(folder, 'report.html'), 'new'));
      expect(readdirSync(folder).sort()).to.deep.equal(['report.html', 'store.db']);
    }));
});

describe('reportAfter', () => {
  it('writes none of a run that was stopped: that would take as long as a verification', () =>
    withGeneratedStore({ audits: 200 }, async (path) => {
      const file = join(path, '../report.html');
      const outcome = await up(path, stoppedAfter(2));
      expect(await reportAfter(optionsFor(path), file, outcome)).to.deep.equal({});
      expect(existsSync(file)).to.equal(false);
      const finished = await up(path);
      expect(await reportAfter(optionsFor(path), file, finished)).to.include({ path: realpathSync(file) });
    }));

  it('returns what kept it from being written, so that what was done is told', () =>
    withGeneratedStore({ audits: 50 }, async (path) => {
      const outcome = await up(path);
      const { error, ...rest } = await reportAfter(optionsFor(path), `${path}-wal`, outcome);
      expect(error?.code).to.equal('OUTPUT_OVER_STORE');
      expect(rest).to.deep.equal({});
    }));
});
