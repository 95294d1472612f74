import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { type CliResult, root, runCommand } from './cli.js';
import { asAgentOs, query } from './stores.js';

// The package as users get it: packed, installed in an empty folder, used on a table that is not AgentOS's.

/** What of package.json the tests ask for. */
export const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly engines: { readonly node: string };
};

/** Limits of an install on Node 22 or later: packages, and megabytes (2^20 bytes) on disk. Node 20 compiles better-sqlite3, which takes more. */
export const INSTALL_LIMITS = { packages: 65, megabytes: 46 };

/** Returns what a folder takes on disk, in megabytes. */
export function megabytesOf(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const blocks = files.reduce((sum, file) => sum + lstatSync(join(folder, file)).blocks, 0);
  return (blocks * 512) / 2 ** 20;
}

/** Runs a command in a folder, and insists that it ends well. */
export async function runIn(folder: string, command: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const result = await runCommand(command, { cwd: folder, env });
  expect(result.code, `${command.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
  return result;
}

/** Builds and packs a copy of the project as a release does, without what the tests have compiled; returns the tarball's path. */
export async function packInto(folder: string): Promise<string> {
  const copy = mkdtempSync(join(folder, 'packed-'));
  const filter = (file: string): boolean =>
    !/^(?:node_modules|dist|coverage|\.git|\.demo)$|^bench\/\./.test(relative(root, file));
  cpSync(root, copy, { recursive: true, filter });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  await runIn(copy, ['npm', 'pack', '--pack-destination', folder]);
  rmSync(copy, { recursive: true });
  return join(folder, `umzug-backfill-${manifest.version}.tgz`);
}

/** What an install need not do. */
export const QUIET = ['--no-audit', '--no-fund', '--no-update-notifier'] as const;

/** Makes the folder of a project that has nothing yet. */
export function emptyProject(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const project = { name: 'shop', private: true, type: 'module', allowScripts: { 'better-sqlite3': true } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(project));
}

/** Paths, under the root, of the packages that a user's install brings, by our lockfile. */
export function installedPackages(): string[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const packages = Object.entries(lock.packages as Record<string, { dev?: true; devOptional?: true }>);
  return packages.flatMap(([path, { dev, devOptional }]) => (path === '' || dev || devOptional ? [] : path));
}

/**
 * Installs the tarball without the network: its dependencies stand there already, as copies of those that this project has
 * installed, and npm finds that they are what the tarball asks for.
 */
export async function installOffline(folder: string, tarball: string): Promise<void> {
  for (const path of installedPackages()) {
    const from = join(root, path);
    const filter = (file: string): boolean => !file.slice(from.length).includes('node_modules'); // listed by itself
    cpSync(from, join(folder, path), { recursive: true, filter });
  }
  await runIn(folder, ['npm', 'rebuild', '--ignore-scripts']); // links their commands, which npm looks for
  await runIn(folder, ['npm', 'install', ...QUIET, '--offline', '--ignore-scripts', tarball]);
}

/** Ten lines: where the store is, and what fills which column of one's own table. */
const PROJECT: Readonly<Record<string, string>> = {
  'umzug-backfill.config.js': `
import { defineConfig } from 'umzug-backfill';
export default defineConfig({ database: { path: 'shop.db' }, steps: ['backfills'] });`,
  'backfills/001-paid-at.js': `
import { defineBackfill, firstOf } from 'umzug-backfill';
export default defineBackfill({
  table: 'orders',
  key: 'id',
  scope: \`state = 'paid'\`,
  columns: { paid_at: firstOf('details', ['paid_at', 'ts'], 'created_at') },
});`,
};

const ROWS = 20_000;

/** What the store holds, but for the ledger. */
const contents = (path: string): unknown =>
  asAgentOs(path, (db) => ({
    rows: db.prepare('SELECT count(*), count(paid_at), min(paid_at), sum(id) FROM orders').raw().get(),
    schema: db.prepare(`SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'`).pluck().all(),
  }));

const filled = (path: string) =>
  query(path, `SELECT count(*) FROM orders WHERE (paid_at IS '2026-01-20T10:00:00Z') = (state = 'paid')`)[0];

/**
 * In a folder in which the package is installed: a backfill of one's own table runs, is killed by SIGKILL in the middle, resumes, is
 * verified, reported on with charts, and is taken back exactly. In `env` a PATH may have another Node before this one.
 */
export async function useBackfill(folder: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  mkdirSync(join(folder, 'backfills'));
  for (const [file, text] of Object.entries(PROJECT)) writeFileSync(join(folder, file), text.trimStart());
  const store = join(folder, 'shop.db');
  new Database(store)
    .exec(`
      CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT, details TEXT, created_at TEXT, paid_at TEXT);
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${ROWS})
      INSERT INTO orders (state, details, created_at)
      SELECT iif(i % 4, 'paid', 'open'), '{"ts":"2026-01-20T10:00:00Z"}', '2026-01-21' FROM n`)
    .close();
  const before = contents(store);
  const run = (...args: readonly string[]): Promise<CliResult> =>
    runIn(folder, ['npx', '--no', 'umzug-backfill', ...args], env);

  await upKilled(folder, env);
  const afterKill = Number(filled(store));
  expect(afterKill, 'filled before the kill')
    .to.be.above(ROWS / 4)
    .and.below(ROWS);
  await run('up');
  expect(filled(store)).to.equal(ROWS);
  await run('verify');
  await run('status', '--check');
  await run('report', '--out', 'report.html');
  expect(readFileSync(join(folder, 'report.html'), 'utf8')).to.include('<svg ');
  await run('down');
  expect(contents(store)).to.deep.equal(before);
  writeFileSync(join(folder, 'background.js'), BACKGROUND);
  expect((await runIn(folder, ['node', 'background.js'], env)).stdout).to.equal('1\n');
  expect(filled(store)).to.equal(ROWS);
  writeFileSync(join(folder, 'beside.js'), BESIDE);
  expect((await runIn(folder, ['node', 'beside.js'], env)).stdout).to.equal('as expected\n');
  expect(contents(store)).to.deep.equal(before);
}

/** Fills from within an application, on a thread. */
const BACKGROUND = `
import { startBackfills } from 'umzug-backfill';
const { applied } = await startBackfills().done;
console.log(applied.length);`;

/** Reverts in a process that has the store open by `node:sqlite`, where Node has that; this package's copy of SQLite then is in a child process alone. */
const BESIDE = `
import { backfillStep } from 'umzug-backfill';
import backfill from './backfills/001-paid-at.js';
const { DatabaseSync } = await import('node:sqlite').catch(() => ({}));
const db = DatabaseSync && new DatabaseSync('shop.db');
await backfillStep({ name: '001-paid-at', database: 'shop.db', backfill }).down();
const isOursLoaded = process.report.getReport().sharedObjects.some((path) => path.includes('better'));
const left = db?.prepare('SELECT count(paid_at) AS cells FROM orders').get().cells ?? 0;
console.log(left === 0 && isOursLoaded === (db === undefined) ? 'as expected' : { left, isOursLoaded });`;

/** Runs `up` and kills it, with all that npx has started, once some batches are committed. */
async function upKilled(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const up = ['npx', '--no', 'umzug-backfill', 'up', '--batch-size', '20', '--log-level', 'debug'];
  const { signal, stderr } = await runCommand(up, {
    prefix: ['setsid'], // a process group of its own
    cwd: folder,
    env,
    onStderr: (text, child) => {
      if (text.split('batch_committed').length > 20) process.kill(-Number(child.pid), 'SIGKILL');
    },
  });
  expect(signal, stderr).to.equal('SIGKILL');
}
