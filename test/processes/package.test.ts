import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { root, runCommand, useFolder } from '../support/cli.js';
import {
  emptyProject,
  INSTALL_LIMITS,
  installedPackages,
  installOffline,
  manifest,
  megabytesOf,
  packInto,
  runIn,
  useBackfill,
} from '../support/package.js';
import { asAgentOs } from '../support/stores.js';

// What users get: the tarball, installed in an empty folder. `npm run test:nodes` does the same from the registry, on
// each Node that can be had.

const read = (...path: readonly string[]): string => readFileSync(join(...path), 'utf8');

/** Compiles a project; what the compiler says of it. */
const compile = (folder: string): string =>
  spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' }).stdout;

/** A project that uses every part of the public API; what must not compile says so. */
const PROJECT = `
import { BackfillError, defineBackfill, defineConfig, defineSchemaStep, defineSqlStep, firstOf, migrateOnDeploy,
  type MigratorEvent, requireBackfill, startBackfills } from 'umzug-backfill';
import { type Finding, lint } from 'umzug-backfill/lint';
import { type RenderedReport, renderReport } from 'umzug-backfill/report';
import { BackfillTestError, testBackfill } from 'umzug-backfill/testing';

export const config = defineConfig({ database: { path: 'shop.db', env: 'SHOP_DB' }, steps: ['steps'] });
export const schema = defineSchemaStep({ table: 'orders', columns: { paid_at: 'TEXT' } });
export const sql = defineSqlStep({ up: ['CREATE VIEW v AS SELECT 1'], down: ['DROP VIEW v'] });
export const required = requireBackfill('002-paid-at');
export const backfill = defineBackfill({
  table: 'orders', key: 'id', columns: { paid_at: firstOf('details', ['paid_at'], 'created_at') },
});
// @ts-expect-error: the key is missing
export const wrong = defineBackfill({ table: 'orders', columns: {} });
export async function start(signal: { readonly aborted: boolean }): Promise<string> {
  try {
    const { applied, deferred } = await migrateOnDeploy({ backfills: 'background', signal });
    await startBackfills({ onEvent: (event: MigratorEvent) => tell(event.event) }).done;
    return [...applied, ...deferred].join();
  } catch (error) {
    if (error instanceof BackfillError) return error.code + error.hint;
    throw error;
  }
}
export async function test(): Promise<string> {
  const rows = [{ id: 1, details: null, created_at: '2026-01-20' }];
  const { interruptedBy, skips } = await testBackfill({ backfill, schema: ['CREATE TABLE …', schema, sql], rows });
  const key: bigint | string | undefined = new BackfillTestError('NOT_PRESERVED', '').key ?? skips[0]?.key;
  return interruptedBy + String(key);
}
export async function look(): Promise<readonly [readonly Finding[], RenderedReport]> {
  const report = await renderReport({ path: 'shop.db' });
  if (report.error instanceof BackfillError) tell(report.error.code);
  return [(await lint()).findings, report];
}
declare function tell(text: string): void;
`;

describe('the package', () => {
  const folder = useFolder();
  let app = '';
  let files: string[] = [];
  const installed = (...path: readonly string[]): string => join(app, 'node_modules/umzug-backfill', ...path);

  before(async () => {
    app = folder.file('app');
    emptyProject(app);
    await installOffline(app, await packInto(folder.path));
    const all = readdirSync(installed(), { recursive: true, encoding: 'utf8' });
    files = all.filter((file) => statSync(installed(file)).isFile());
  });

  it('is installed as files of its own, and its dependencies are what it asks for', () => {
    const tree = execFileSync('npm', ['ls', '--all', '--json'], { cwd: app, encoding: 'utf8' });
    expect(JSON.parse(tree).problems ?? []).to.deep.equal([]);
    expect(JSON.parse(tree).dependencies).to.have.all.keys('umzug-backfill');
  });

  it('holds what users need, and nothing else', () => {
    const expected =
      /^(?:dist\/lib\/[\w-]+\.js|dist\/types\/.*\.d\.ts|dist\/THIRD-PARTY-NOTICES\.txt|docs\/[\w-]+\.md|examples\/.*|bench\/RESULTS\.md|(?:README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|LICENSE|package\.json)$/;
    expect(files.filter((file) => !expected.test(file))).to.deep.equal([]);
    expect(files).to.include.members([
      'README.md',
      'LICENSE',
      'docs/how-it-works.md',
      'dist/types/index.d.ts',
    ]);
    expect(files.filter((file) => /node_modules|\.(?:db|map)\b/.test(file))).to.deep.equal([]);
    for (const file of files.filter((name) => name.endsWith('.js')))
      expect(read(installed(file)), file).not.to.include('sourceMappingURL');
  });

  it('contains the licences of the packages whose code it contains', () => {
    const [, ...notices] = read(installed('dist/THIRD-PARTY-NOTICES.txt')).split('\n--- ');
    expect(notices.map((notice) => notice.split(' ', 1)[0])).to.include.members([
      '@observablehq/plot',
      'commander',
      'd3-scale',
      'linkedom',
    ]);
    for (const notice of notices) expect(notice).to.match(/copyright.*(?:permi|licen)/is);
  });

  it('has every file that its package.json names', () => {
    for (const file of Object.values(manifest.bin))
      expect(statSync(installed(file)).mode & 0o111).to.be.above(0);
    for (const target of Object.values(manifest.exports))
      for (const file of typeof target === 'string' ? [target] : Object.values(target))
        expect(existsSync(installed(file)), file).to.equal(true);
  });

  it('has the file that each thread and process of it begins with', () => {
    const texts = files.filter((file) => file.startsWith('dist/lib/')).map((file) => read(installed(file)));
    const begun = texts.flatMap((text) => [...text.matchAll(/new URL\([`"'](\.\/[\w-]+)/g)]);
    expect(begun.length).to.be.above(5);
    for (const [, file = ''] of begun)
      expect(existsSync(installed('dist/lib', `${file}.js`)), file).to.equal(true);
  });

  it('has every page and file that its README leads to', () => {
    const seen = new Set(['README.md']);
    for (const page of seen) {
      if (!page.endsWith('.md')) continue;
      for (const [, target = ''] of read(installed(page)).matchAll(/\]\(([^)\s#]+)[^)]*\)/g)) {
        if (/^https?:/.test(target)) continue;
        const path = posix.join(dirname(page), target);
        expect(existsSync(installed(path)), `${page}: ${target}`).to.equal(true);
        seen.add(path);
      }
    }
    expect(seen.size).to.be.above(10);
  });

  it('runs a backfill of one’s own table, resumes after kill -9, verifies, takes it back', () =>
    useBackfill(app));

  it('loads few files to show a status, and none of what reading does without', async () => {
    const loaded = folder.file('loaded');
    const bin = installed(manifest.bin['umzug-backfill'] ?? '');
    await runIn(app, [process.execPath, bin, 'status'], { NODE_V8_COVERAGE: loaded });
    const texts = readdirSync(loaded).map((name) => read(loaded, name));
    const scripts = texts.flatMap((text) => JSON.parse(text).result.map(({ url }: { url: string }) => url));
    const ours = scripts.flatMap((url) => /umzug-backfill\/dist\/lib\/(.*)$/.exec(url)?.[1] ?? []);
    expect(ours).to.include.members(['bin.js', 'core.js']);
    expect(ours.length, ours.join()).to.be.at.most(8);
    const packages = new Set(scripts.flatMap((url) => /.*\/node_modules\/([^/]+)\//.exec(url)?.[1] ?? []));
    expect([...packages].sort()).to.deep.equal([
      'better-sqlite3',
      'bindings',
      'file-uri-to-path',
      'umzug-backfill',
    ]);
  });

  it('says what is to be installed where a database is named, and its driver is not there', async () => {
    const bin = installed(manifest.bin['umzug-backfill'] ?? '');
    const url = 'postgres://app@127.0.0.1:1/agentos';
    const { code, stderr } = await runCommand([process.execPath, bin, 'status', '--database-url', url], {
      cwd: app,
    });
    expect(code).to.equal(1);
    expect(stderr).to.include('DRIVER_MISSING').and.to.include('npm install pg');
  });

  it('is as large as its README says', () => {
    const readme = read(root, 'README.md');
    const [, packages, megabytes] = /an install is (\d+) packages and (\d+) MB/.exec(readme) ?? [];
    expect(Number(packages)).to.be.closeTo(installedPackages().length + 1, 3);
    // Where better-sqlite3 came prebuilt there are 16 MB less.
    const compiled = existsSync(join(app, 'node_modules/better-sqlite3/build/Release/obj.target'));
    expect(megabytesOf(join(app, 'node_modules')) + (compiled ? 0 : 16)).to.be.closeTo(Number(megabytes), 4);
    const [, later, laterMegabytes] = /On later ones it is (\d+) packages and (\d+) MB/.exec(readme) ?? [];
    expect(Number(later)).to.be.at.most(INSTALL_LIMITS.packages);
    expect(Number(laterMegabytes)).to.be.at.most(INSTALL_LIMITS.megabytes);
  });

  it('compiles and runs the TypeScript project that docs/steps.md shows', async () => {
    const project = join(app, 'steps'); // what is installed in the folder above is found
    const page = read(root, 'docs/steps.md');
    for (const [, file = '', text = ''] of page.matchAll(/```ts\n\/\/ (\S+)\n(.*?)```/gs)) {
      mkdirSync(dirname(join(project, file)), { recursive: true });
      writeFileSync(join(project, file), text);
    }
    const [, tsconfig = ''] = /```json\n(.*?)```/s.exec(page) ?? [];
    writeFileSync(join(project, 'tsconfig.json'), tsconfig);
    writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
    expect(compile(project)).to.equal('');
    mkdirSync(join(project, 'data'));
    new Database(join(project, 'data/shop.db'))
      .exec(`
        CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created_at TEXT);
        INSERT INTO events (kind, body) VALUES ('order', '{"ts":"2026-01-20T10:00:00Z"}')`)
      .close();
    await runIn(project, [process.execPath, installed(manifest.bin['umzug-backfill'] ?? ''), 'up']);
    const filled = asAgentOs(join(project, 'data/shop.db'), (db) =>
      db.prepare('SELECT ordered_at FROM events').pluck().get(),
    );
    expect(filled).to.equal('2026-01-20T10:00:00Z');
  });

  for (const options of [
    { module: 'nodenext', lib: ['es2022'] },
    { module: 'nodenext', lib: ['es2023', 'dom'], exactOptionalPropertyTypes: true },
    { module: 'esnext', moduleResolution: 'bundler', lib: ['es2022'] },
  ]) {
    it(`has declarations that a strict project without any types of Node compiles, ${JSON.stringify(options)}`, () => {
      const entries = Object.entries(manifest.exports).filter(([, target]) => typeof target !== 'string');
      const all = entries.map(([entry], i) => {
        const name = JSON.stringify(posix.join('umzug-backfill', entry));
        return `import * as entry${i} from ${name};\nexport { entry${i} };\n`;
      });
      writeFileSync(join(app, 'entries.ts'), all.join(''));
      writeFileSync(join(app, 'project.ts'), PROJECT);
      const compilerOptions = { strict: true, skipLibCheck: false, types: [], noEmit: true, ...options };
      writeFileSync(
        join(app, 'tsconfig.json'),
        JSON.stringify({ compilerOptions, files: ['entries.ts', 'project.ts'] }),
      );
      expect(compile(app)).to.equal('');
    });
  }
});
