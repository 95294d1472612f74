import {
  copyFileSync,
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
import { before, describe, it } from 'mocha';
import { generateStore } from '../demo/store-generator.js';
import { expectRefusal, runCli, useFolder } from './support/cli.js';
import { after, project } from './support/migrate.js';
import { on } from './support/on-store.js';
import { type Outcome, run } from './support/project.js';
import { withFolder, withGeneratedStore } from './support/stores.js';

/** How every report begins. */
const HEAD = '<!doctype html>\n<!-- A report of umzug-backfill -->\n';

const template = useFolder();
before(() => generateStore({ path: template.file('store.db'), audits: 20 }));

/** Runs `act` with a folder that has a store. */
const withStore = (act: (folder: string, store: string) => Promise<void>): Promise<void> =>
  withFolder((given) => {
    const folder = realpathSync(given);
    const store = join(folder, 'store.db');
    copyFileSync(template.file('store.db'), store);
    return act(folder, store);
  });

/** Writes a report; returns where it went. */
const reportTo = async (store: string, file: string): Promise<string> =>
  (await on(store).look(['report', '--out', file, '--json'])).json().path;

/** Where a report would go. */
const targetOf = async (store: string, file: string): Promise<string> =>
  (await on(store).look(['report', '--out', file, '--dry-run', '--json'])).json().path;

/** Insists that a report to each file is refused, in a dry run as well. */
async function expectRefused(code: string, store: string, files: readonly string[]) {
  const told = [];
  for (const file of files) {
    for (const more of [[], ['--dry-run']]) {
      const args = ['report', '--out', file, '--db-path', store, ...more];
      told.push({ file, ...expectRefusal(await runCli(args), code, 1) });
    }
  }
  return told;
}

describe('the file of a report', () => {
  it('may be a new one, an empty one, and an earlier report', () =>
    withStore(async (folder, store) => {
      const file = join(folder, 'report.html');
      for (const text of [undefined, '', `${HEAD}<p>`]) {
        if (text !== undefined) writeFileSync(file, text);
        expect(await targetOf(store, file)).to.equal(file);
        expect(await reportTo(store, file)).to.equal(file);
        expect(readFileSync(file, 'utf8')).to.match(/<\/html>\n$/);
      }
    }));

  it('is refused where it is no report', () =>
    withStore(async (folder, store) => {
      const file = join(folder, 'index.html');
      for (const text of ['<!doctype html>\n<p>Mine</p>', 'x', ` ${HEAD}`]) {
        writeFileSync(file, text);
        await expectRefused('OUTPUT_EXISTS', store, [file]);
        expect(readFileSync(file, 'utf8')).to.equal(text);
      }
    }));

  it('is not the store nor what belongs to it, whether it is there or not', () =>
    withStore(async (folder, store) => {
      const backups = ['.backup-20260101T000000Z', '.before-restore-1'];
      const endings = ['', '-wal', '-shm', '-journal', '.lock', ...backups];
      await expectRefused(
        'OUTPUT_IS_STORE',
        store,
        endings.map((ending) => `${store}${ending}`),
      );
      writeFileSync(`${store}.lock`, HEAD);
      await expectRefused('OUTPUT_IS_STORE', store, [`${store}.lock`]);
      expect(await targetOf(store, `${store}.html`)).to.equal(`${store}.html`);
      expect(await targetOf(store, join(folder, 'other-wal'))).to.equal(join(folder, 'other-wal'));
    }));

  it('is not the store under another name: a link, a symbolic link, a folder that is one', () =>
    withStore(async (folder, store) => {
      linkSync(store, join(folder, 'hard.html'));
      symlinkSync(store, join(folder, 'soft.html'));
      symlinkSync(folder, join(folder, 'elsewhere'));
      const names = ['hard.html', 'soft.html', 'elsewhere/store.db', 'elsewhere/store.db-wal'];
      await expectRefused(
        'OUTPUT_IS_STORE',
        store,
        names.map((name) => join(folder, name)),
      );
    }));

  it('is refused where it is no file, and where its folder does not exist', () =>
    withStore(async (folder, store) => {
      mkdirSync(join(folder, 'reports'));
      const files = [join(folder, 'reports'), '/dev/null', join(folder, 'none/report.html'), `${store}/x`];
      for (const { file, message } of await expectRefused('OUTPUT_UNWRITABLE', store, files))
        expect(message).to.include(file);
      expect(readdirSync(folder).sort()).to.deep.equal(['reports', 'store.db']);
    }));

  it('is for this user alone, whoever could read the report before, and nothing is left beside it', () =>
    withStore(async (folder, store) => {
      const file = join(folder, 'report.html');
      writeFileSync(file, HEAD, { mode: 0o644 });
      await reportTo(store, file);
      expect(statSync(file).size).to.be.greaterThan(HEAD.length);
      expect(statSync(file).mode & 0o777).to.equal(0o600);
      expect(readdirSync(folder).sort()).to.deep.equal(['report.html', 'store.db']);
    }));

  it('stays a symbolic link, and is written where that leads', () =>
    withStore(async (folder, store) => {
      const [link, real] = [join(folder, 'latest.html'), join(folder, 'real.html')];
      writeFileSync(real, HEAD);
      symlinkSync(real, link);
      expect(await reportTo(store, link)).to.equal(real);
      expect(statSync(real).size).to.be.greaterThan(HEAD.length);
      expect(realpathSync(link)).to.equal(real);
    }));

  it('is left out where a folder has taken its place meanwhile, and nothing is half written', () =>
    withStore(async (folder, store) => {
      const file = join(folder, 'report.html');
      const { report } = await upTo(store, file, { onEvent: () => mkdirSync(file, { recursive: true }) });
      expect(report.error?.code).to.equal('OUTPUT_UNWRITABLE');
      expect(readdirSync(folder).filter((name) => name.includes('report'))).to.deep.equal(['report.html']);
      expect(readdirSync(file)).to.deep.equal([]);
    }));
});

interface Reported extends Outcome {
  readonly applied: readonly string[];
  readonly report: { readonly path?: string; readonly error?: { readonly code: string } };
}

const upTo = (store: string, file: string, extra?: Parameters<typeof run>[3]): Promise<Reported> =>
  run<Reported>(project, { path: store }, ['up', '--no-backup', '--report', file], extra);

describe('up --report', () => {
  it('writes none of a run that was stopped: that would take as long as a verification', () =>
    withGeneratedStore({ audits: 200 }, async (path) => {
      const file = join(path, '../report.html');
      for (const [signal, code] of [
        ['SIGTERM', 'TERMINATED'],
        ['SIGINT', 'INTERRUPTED'],
      ]) {
        const controller = new AbortController();
        const stopped = await upTo(path, file, {
          ...after(2, 'batch_committed', () => controller.abort(signal)),
          signal: controller.signal,
        });
        expect(stopped.report).to.deep.equal({});
        expect(stopped.error?.code).to.equal(code);
        expect(existsSync(file)).to.equal(false);
      }
      expect((await upTo(path, file)).report).to.include({ path: realpathSync(file) });
    }));

  it('tells what kept it from being written, and what was done all the same', () =>
    withStore(async (folder, store) => {
      const file = join(folder, 'report.html');
      const { report, applied, error } = await upTo(store, file, {
        onEvent: () => writeFileSync(file, 'mine'),
      });
      expect(report.error?.code).to.equal('OUTPUT_EXISTS');
      expect(report).to.have.all.keys('error');
      expect(applied).to.have.length(2);
      expect(error?.code).to.equal('OUTPUT_EXISTS');
      expect(readFileSync(file, 'utf8')).to.equal('mine');
    }));
});
