import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { type CliResult, expectRefusal, root, runCli, spawnCli, useFolder } from '../support/cli.js';
import { manifest } from '../support/package.js';

// Most tests call main() in their own process. The bin does the same: one call a command, and each way that it can end.

/** Each command, with the state of its store and its exit code. */
const CALLS: readonly (readonly [state: 'v20' | 'v21', exitCode: number, ...args: string[]])[] = [
  ['v20', 0, 'up'],
  ['v20', 0, 'up', '--dry-run', '--json'],
  ['v20', 0, 'deploy'],
  ['v20', 3, 'deploy', '--check'],
  ['v21', 0, 'down', '--json'],
  ['v21', 0, 'status'],
  ['v20', 3, 'status', '--check'],
  ['v20', 0, 'pending'],
  ['v21', 0, 'executed'],
  ['v21', 0, 'verify'],
  ['v21', 5, 'verify', '--min-coverage', '100'],
  ['v20', 1, 'verify', '--json'],
  ['v21', 0, 'report', '--out', 'report.html'],
  ['v21', 0, 'backfill', '--rescan'],
  ['v20', 1, 'restore'],
  ['v21', 0, 'skips', '--json'],
  ['v20', 0, 'lint'],
  ['v20', 2, 'up', '--frobnicate'],
];

describe('the bin', () => {
  const folder = useFolder();
  before(async () => {
    for (const name of ['v20', 'v21'])
      generateStore({ path: folder.file(`${name}.db`), audits: 200, rareShare: 0.1 });
    expect((await runCli(['up', '--db-path', folder.file('v21.db'), '--no-backup'])).code).to.equal(0);
  });

  /** What a command says on a copy of a store, without its times and its folder. */
  async function said(cli: typeof spawnCli, own: string, state: string, args: readonly string[]) {
    mkdirSync(folder.file(own));
    const store = join(folder.file(own), 'store.db');
    copyFileSync(folder.file(`${state}.db`), store);
    const words = args.map((word) => (word === 'report.html' ? join(folder.file(own), word) : word));
    const { code, stdout, stderr }: CliResult = await cli([...words, '--db-path', store], { cwd: root });
    const [out, err] = [stdout, stderr].map((text) =>
      text
        .replaceAll(folder.file(own), 'FOLDER')
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z|\d{8}T\d{6}Z/g, 'TIME')
        .replaceAll(/\b\d+(?:\.\d+)? (?:ms|s)\b|(?<=[mM]s": ?)[\d.]+/g, 'DURATION')
        .replaceAll(/Report: (\S+) \([\d.]+ kB\)/g, 'Report: $1') // the page has times, too
        .replaceAll(/─+/g, '─')
        .replaceAll(/ +/g, ' '),
    );
    return { code, out, err };
  }

  CALLS.forEach(([state, exitCode, ...args], i) => {
    it(`says and returns what main() does: ${args.join(' ')}`, async () => {
      const inside = await said(runCli, `inside-${i}`, state, args);
      expect(inside.code, inside.err).to.equal(exitCode);
      expect(await said(spawnCli, `bin-${i}`, state, args)).to.deep.equal(inside);
    });
  });

  /** Code that Node runs before the bin. */
  const preload = (code: string): NodeJS.ProcessEnv => ({
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}`,
  });

  for (const [version, isTaken] of [
    ['16.20.2', false],
    ['18.20.8', false],
    ['20.18.3', false],
    ['22.13.1', false],
    ['21.7.3', true],
    ['99.0.0', true],
  ] as const) {
    it(`${isTaken ? 'runs' : 'is refused'} on Node ${version}`, async () => {
      const env = preload(
        `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`,
      );
      const result = await spawnCli(['status', '--db-path', folder.file('v21.db')], { env });
      if (isTaken) return expect(result.code, result.stderr).to.equal(0);
      const { message, hint } = expectRefusal(result, 'NODE_TOO_OLD', 1);
      expect(message).to.equal(`Node ${version} is too old: this program requires ${manifest.engines.node}`);
      expect(hint).to.include('npm rebuild better-sqlite3');
      return undefined;
    });
  }

  for (const [title, message, told] of [
    [
      'is compiled for another Node',
      `The module was compiled against a different Node.js version using
NODE_MODULE_VERSION 42. This version of Node.js requires
NODE_MODULE_VERSION ${process.versions.modules}.`,
      'better-sqlite3 is compiled for another Node (NODE_MODULE_VERSION 42) than ',
    ],
    [
      'can not be loaded',
      '/lib/libc.so.6: version GLIBC_9.9 not found',
      `Node ${process.versions.node} cannot load better-sqlite3: `,
    ],
  ] as const) {
    it(`says so where better-sqlite3 ${title}, and what a debugger needs`, async () => {
      const env = preload(
        `process.dlopen = () => { throw Object.assign(new Error(${JSON.stringify(message)}), { code: 'ERR_DLOPEN_FAILED' }); };`,
      );
      const args = ['status', '--db-path', folder.file('v21.db'), '--log-level', 'debug'];
      const result = await spawnCli(args, { env });
      const error = expectRefusal(result, 'DRIVER_UNUSABLE', 1);
      expect(error.message).to.include(told).and.include(process.versions.node);
      expect(error.hint).to.include('npm rebuild better-sqlite3');
      expect(result.stderr).to.match(
        /^BackfillError DRIVER_UNUSABLE\n(?: {4}at \S+:\d+\n)+caused by Error ERR_DLOPEN_FAILED\n(?: {4}at \S+:\d+\n)+/,
      );
    });
  }

  it('writes new steps where it is called', async () => {
    const made = async (cli: typeof spawnCli, own: string) => {
      const cwd = folder.file(own);
      mkdirSync(cwd);
      const results = [await cli(['init'], { cwd }), await cli(['create', 'order-times'], { cwd })];
      return results.map(({ code, stdout }) => ({ code, stdout: stdout.replaceAll(cwd, 'FOLDER') }));
    };
    expect(await made(spawnCli, 'spawned')).to.deep.equal(await made(runCli, 'called'));
  });
});
