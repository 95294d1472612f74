import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { after, afterEach, before } from 'mocha';
import { main } from '../../src/cli/main.js';
import { withFolder } from './stores.js';

// Runs the command line: in this process, through `main()`, or in processes of its own, as a person or a deploy does.

/** The folder of the project; this file is `dist/test/support/cli.js` when it runs. */
export const root = fileURLToPath(new URL('../../../', import.meta.url));
export const bin = join(root, 'dist/src/cli/bin.js');

/** How a command ended. */
export interface CliResult {
  /** Exit code; null when a signal ended the process. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as the one JSON document that `--json` promises. */
  // biome-ignore lint/suspicious/noExplicitAny: each test says by its assertions what shape it expects
  json(): any;
}

export interface SpawnOptions {
  /** Added to the environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: the folder of the project. */
  readonly cwd?: string;
  /** Put before the command, as `setpriv …`. */
  readonly prefix?: readonly string[];
  /** Told what arrives on stderr. */
  readonly onStderr?: (text: string, child: ChildProcess) => void;
}
export type CliOptions = Pick<SpawnOptions, 'env' | 'cwd'>;

/** The environment without what npm, the developer's shell or a CI service would tell the command, as the store or the language. */
export function cleanEnv(home: string, env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) =>
      !/^(?:npm_.*|(?:AGENTOS|OCTOPUSOS)_DB_PATH|SQLITE_PATH|DATABASE_.*|NODE_OPTIONS|LC_ALL|LC_MESSAGES|LANG|CI)$/i.test(
        name,
      ),
  );
  return { ...Object.fromEntries(inherited), HOME: home, ...env };
}

/**
 * Runs any command to its end, with an empty home folder of its own, and insists that it stays empty: the default store
 * lies there, so that a command that goes for it by mistake is found out.
 */
export function runCommand(command: readonly string[], options: SpawnOptions = {}): Promise<CliResult> {
  return inEmptyHome(async (home) => {
    const [file = '', ...args] = [...(options.prefix ?? []), ...command];
    const child = spawn(file, args, {
      cwd: options.cwd ?? root,
      env: cleanEnv(home, options.env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      options.onStderr?.(stderr, child);
    });
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (...ended) => resolve(ended));
    });
    return { code, signal, stdout, stderr, json: () => JSON.parse(stdout) };
  });
}

const inEmptyHome = <Result>(act: (home: string) => Promise<Result>): Promise<Result> =>
  withFolder(async (home) => {
    const result = await act(home);
    // npm keeps its cache and its log there.
    const left = readdirSync(home).filter((name) => name !== '.npm');
    expect(left, 'files in the home folder').to.deep.equal([]);
    return result;
  });

/** Runs the command line with these arguments in a process of its own. */
export function spawnCli(args: readonly string[], options: SpawnOptions = {}): Promise<CliResult> {
  return runCommand([process.execPath, bin, ...args], options);
}

/** What `main()` runs in. */
export type Context = Parameters<typeof main>[1];

/** A stream that keeps what is written to it. */
export function collector(): Writable & { text: string } {
  const stream = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      collected.text += text;
      done();
    },
  });
  const collected = Object.assign(stream, { text: '' });
  return collected;
}

let isRunning = false;

/**
 * Runs the command line with these arguments in this process. Its current and its home folder are the process's meanwhile, so
 * that one call ends before the next begins.
 */
export function runCli(
  args: readonly string[],
  options: CliOptions & Partial<Context> = {},
): Promise<CliResult> {
  const { env = {}, cwd = root, ...more } = options;
  const own = ['NODE_OPTIONS', 'NODE_V8_COVERAGE', 'UMZUG_BACKFILL_FAILPOINT'].find((name) => name in env);
  if (own || 'onStderr' in more || 'prefix' in more)
    throw new Error(`${own ?? 'onStderr and prefix'} needs a process of its own: use spawnCli()`);
  if (isRunning) throw new Error('Two commands at a time need processes: use spawnCli()');
  isRunning = true;
  const before = { cwd: process.cwd(), home: process.env.HOME };
  return inEmptyHome(async (home) => {
    const [stdout, stderr] = [collector(), collector()];
    try {
      process.chdir(cwd);
      process.env.HOME = home;
      const code = await main(args, { env: cleanEnv(home, env), folder: cwd, stdout, stderr, ...more });
      const text = stdout.text;
      return { code, signal: null, stdout: text, stderr: stderr.text, json: () => JSON.parse(text) };
    } finally {
      process.chdir(before.cwd);
      if (before.home === undefined) delete process.env.HOME;
      else process.env.HOME = before.home;
      isRunning = false;
    }
  });
}

/**
 * Starts another process that runs `script` (CommonJS, the packages of the project at hand), and waits until it prints
 * `ready`; `end` kills it by SIGKILL and waits for that.
 */
export async function startScript(script: string, ...args: readonly string[]) {
  const child = spawn(process.execPath, ['-e', script, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => reject(new Error('Expected the script to print `ready`')));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('ready')) resolve();
    });
  });
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await closed;
  };
  return { pid: child.pid ?? 0, end };
}

/** What makes something that has to be ended, whatever a test comes to: it is after each test. */
export function endedAfterEach<Of extends unknown[], Made extends { end(): Promise<void> }>(
  make: (...of: Of) => Promise<Made>,
) {
  const made: Made[] = [];
  afterEach(() => Promise.all(made.splice(0).map((each) => each.end())));
  return async (...of: Of) => {
    const one = await make(...of);
    made.push(one);
    return one;
  };
}

/**
 * What stands on disk of a store: SHA-256 of each file whose bytes must not change, or `none`, and the names of all files beside it
 * that begin with its name. Only for a process without a connection to it: closing the file drops SQLite's locks.
 */
export function snapshotFiles(store: string) {
  const hash = (path: string): string => {
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return 'none';
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  };
  const [folder, name] = [dirname(store), basename(store)];
  const sidecars = readdirSync(folder).filter((file) => file.startsWith(name) && file !== name);
  const [main, wal, journal] = [hash(store), hash(`${store}-wal`), hash(`${store}-journal`)];
  return { main, wal, journal, sidecars: sidecars.sort() };
}
export type StoreSnapshot = ReturnType<typeof snapshotFiles>;

/** The bytes of every file of a store that must not change. Only while no connection stands in this process. */
export function bytesOf(path: string) {
  const { sidecars: _, ...files } = snapshotFiles(path);
  return files;
}

/** A folder for the tests of the enclosing `describe`, removed after them. */
export function useFolder(): { readonly path: string; readonly file: (name: string) => string } {
  let path = '';
  before(() => {
    path = mkdtempSync(join(tmpdir(), 'umzug-backfill-'));
  });
  after(() => rmSync(path, { recursive: true, force: true }));
  return {
    get path() {
      return path;
    },
    file: (name) => join(path, name),
  };
}

/** An error as programs get it. */
export interface ErrorJson {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly exitCode: number;
}

const STACK = /\n\s+at /;

/** A line of the causes that `--log-level debug` prints before an error, maybe among those of workers: a place without a column. */
const CAUSE = /^ {4}at \/[^:\s]+:\d+$/gm;

/** Insists that an error is told well: for a person on stderr or a program on stdout, in one sentence with a hint; returns it. */
export function expectRefusal(result: CliResult, code: string | RegExp, exitCode: number): ErrorJson {
  const told = errorOf(result.stderr);
  const error = told.code === '' && result.stdout.startsWith('{') ? (result.json().error as ErrorJson) : told;
  const codes = typeof code === 'string' ? new RegExp(`^${code}$`) : code;
  expect(error.code, `${result.stdout}${result.stderr}`).to.match(codes);
  expect(result.code).to.equal(exitCode);
  expect(error.exitCode ?? exitCode).to.equal(exitCode);
  expect(error.message).to.match(/^\S.*[^.\s]$/, 'one line, and the full stop is the printer’s');
  expect(error.message).not.to.match(/[.!?] +[A-Z]/, 'one sentence');
  expect(error.hint).to.match(/\S/);
  expectNoStack(result);
  return error;
}

/** Insists that nothing was printed as an error that nobody has caught. */
export function expectNoStack({ stdout, stderr }: CliResult): void {
  expect(stdout).not.to.match(STACK);
  expect(stderr.replace(CAUSE, ''), stderr.slice(-3000)).not.to.match(STACK);
}

/** Reads the error that stands at the end of stderr, behind the log. */
function errorOf(stderr: string): ErrorJson {
  const match = /(?:^|\n)([A-Z][A-Z_]+): (.*)\.\n {2}→ (.*)\n$/.exec(stderr);
  const [, code = '', message = '', hint = ''] = match ?? [];
  return { code, message, hint } as ErrorJson;
}
