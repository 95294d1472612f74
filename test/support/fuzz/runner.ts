import { type ChildProcess, fork, spawn } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bin, cleanEnv } from '../cli.js';
import { Random } from './random.js';

// Runs commands on what random has made, and says what none of them may do: crash, hang, take much memory, write elsewhere, or fail in a
// way that this program does not expect.

/** One command, for the child. */
export interface Call {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly folder: string;
}

/** What came of it. */
export interface Answer {
  readonly code: number | null;
  readonly thrown: readonly string[];
  /** Of an error with the code `INTERNAL`: what it was. */
  readonly internal?: string | undefined;
  /** The beginning of what it prints. */
  readonly output: string;
  readonly outputLength: number;
  /** The code of the first error that was told. */
  readonly told: string;
  readonly peakMb: number;
}

/** A command of a case. */
export interface Command {
  readonly argv: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Whether it only looks: the store is byte for byte the same behind it. */
  readonly looks?: boolean;
  /** Folder of the project: the common one, or the case's. Default: the common one. */
  readonly folder?: 'project' | 'case';
  /** Names that it may write beside the store's own, in the folder of the case. */
  readonly writes?: RegExp;
}

/** Makes a case: puts its files into an empty folder, and says what is run there. */
export type Make = (random: Random, folder: string) => readonly Command[];

export interface Finding {
  readonly part: string;
  readonly case: number;
  readonly argv: string;
  readonly what: string;
}

/** What the commands of a part came to, by the code that they told: a part that tells one code only does not get deep. */
export type Told = Record<string, number>;

const [MAX_CPU_MS, MAX_WALL_MS, MAX_MB, MAX_OUTPUT] = [10_000, 60_000, 300, 1_000_000];

/** Commands after which a child is replaced: modules that it has loaded stay in it. */
const CALLS_OF_A_CHILD = 400;

/** Exit codes that there are: those of signals are not, as none is sent. */
const CODES = [0, 1, 2, 3, 4, 5];

/** Names of a store's own files. */
const OWN = /^(?:store\.db(?:-wal|-shm|-journal)?$|store\.db\.(?:lock|backup|before|restore)|backups\/)/;

/** Where a report goes that is asked for without a name. */
const REPORT = 'project/umzug-backfill-report.html';

const CHILD = fileURLToPath(new URL('child.js', import.meta.url));

interface Sandbox {
  readonly root: string;
  readonly project: string;
  readonly home: string;
}

function makeSandbox(makeProject: (folder: string) => void): Sandbox {
  const root = mkdtempSync(join(tmpdir(), 'umzug-backfill-fuzz-'));
  const [project, home, canary] = ['project', 'home', 'canary'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [project, home, canary]) mkdirSync(folder);
  writeFileSync(join(canary, 'secret.db'), 'SQLite format 3\0, but not a database');
  writeFileSync(join(canary, 'secret.txt'), 'untouched', { mode: 0o600 });
  makeProject(project);
  return { root, project, home };
}

const stamp = ({ size, mtimeNs, ino, mode, uid, gid, nlink }: Stats & { mtimeNs: bigint }): string =>
  [size, mtimeNs, ino, mode, uid, gid, nlink].join(' ');

/** Everything in a folder, with what changes when it is written. */
function treeOf(folder: string, leaveOut?: string): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      const path = join(at, entry.name);
      if (path === leaveOut) continue;
      const stats = lstatSync(path, { bigint: true }) as unknown as Stats & { mtimeNs: bigint };
      found.set(
        relative(folder, path),
        entry.isDirectory() ? `folder ${stats.mode} ${stats.uid}` : stamp(stats),
      );
      if (entry.isDirectory()) visit(path);
    }
  };
  visit(folder);
  return found;
}

/** Names that differ. */
const changes = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] =>
  [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));

/** The bytes that a look leaves alone. */
const bytesOf = (folder: string): string =>
  ['store.db', 'store.db-wal', 'store.db-journal']
    .map((name) => join(folder, name))
    .map((path) => {
      const isFile = existsSync(path) && lstatSync(path).isFile();
      // An empty WAL, or none, is no matter of what was written.
      return isFile ? readFileSync(path).toString('latin1') : '';
    })
    .join('\n--\n');

/** CPU that a process has used, in milliseconds. */
function cpuMs(pid: number): number {
  if (process.platform !== 'linux') return 0;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A process that runs commands; replaced when it has crashed, hung, or done its share. */
class Runner {
  #child: ChildProcess | undefined;
  #calls = 0;
  #stderr = '';

  #start(): ChildProcess {
    const child = fork(CHILD, {
      execArgv: ['--expose-gc', '--enable-source-maps', '--max-old-space-size=300'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#calls = 0;
    this.#stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2_000);
    });
    return child;
  }

  /** Runs a command; a text says how its process ended, or that it did not. */
  async run(call: Call): Promise<Answer | string> {
    if (this.#calls >= CALLS_OF_A_CHILD) await this.end();
    this.#child ??= this.#start();
    const child = this.#child;
    this.#calls += 1;
    const pid = child.pid ?? 0;
    const [cpu, wall] = [cpuMs(pid), performance.now()];
    const outcome = await new Promise<Answer | string>((resolve) => {
      const watch = setInterval(() => {
        const isHung = performance.now() - wall > MAX_WALL_MS || cpuMs(pid) - cpu > MAX_CPU_MS;
        if (isHung) done(`it hangs, after ${Math.round((cpuMs(pid) - cpu) / 1000)} s of CPU`);
      }, 500);
      const onExit = (code: number | null, signal: string | null): void =>
        done(`it crashes with ${signal ?? code}: ${this.#stderr}`);
      const done = (what: Answer | string): void => {
        clearInterval(watch);
        child.off('exit', onExit).off('message', done);
        resolve(what);
      };
      child.once('exit', onExit).once('message', done);
      child.send(call);
    });
    // What was taken is given back late: the next command is not to answer for it.
    if (typeof outcome === 'string' || outcome.peakMb > MAX_MB / 2) await this.end();
    return outcome;
  }

  async end(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

/** Runs a command as a process of its own. */
function runBin({ argv, env, folder }: Call): Promise<Answer | string> {
  return new Promise((resolve) => {
    const words = argv.map((word) => word.replaceAll('\0', '')); // no process can be given a NUL
    const child = spawn(process.execPath, [bin, ...words], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    const timer = setTimeout(() => child.kill('SIGKILL'), MAX_WALL_MS);
    child.once('error', (error) => resolve(`it does not start: ${error.message}`));
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (signal !== null) resolve(`it ends by ${signal}: ${output.slice(-500)}`);
      else
        resolve({
          code,
          thrown: /^\s+at .*node:internal/m.test(output) ? [output.slice(0, 500)] : [],
          internal: /^INTERNAL: .*$|"code": "INTERNAL"/m.exec(output)?.[0],
          output: output.slice(0, 2000),
          outputLength: output.length,
          told: /^[A-Z_]{5,}(?=: )/m.exec(output)?.[0] ?? '',
          peakMb: 0,
        });
    });
  });
}

/** What is wrong with how a command ended. */
function wrongsOf(answer: Answer | string): string[] {
  if (typeof answer === 'string') return [answer];
  const { code, thrown, internal, outputLength, peakMb } = answer;
  return [
    ...(CODES.includes(code ?? -1) ? [] : [`it exits with ${code}`]),
    ...thrown,
    ...(internal === undefined ? [] : [`INTERNAL, ${internal}`]),
    ...(outputLength > MAX_OUTPUT ? [`it prints ${outputLength} characters`] : []),
    ...(peakMb > MAX_MB ? [`it takes ${Math.round(peakMb)} MB`] : []),
  ];
}

/**
 * Runs the cases of a part, several processes at a time.
 *
 * @param makeProject makes the project that commands are run in
 * @param only one case, to repeat it
 */
export async function fuzz(
  part: string,
  {
    seed,
    cases,
    only,
  }: { readonly seed: number; readonly cases: number; readonly only?: number | undefined },
  makeProject: (folder: string) => void,
  make: Make,
): Promise<{ readonly findings: readonly Finding[]; readonly told: Told }> {
  const findings: Finding[] = [];
  const told: Told = {};
  let next = 0;
  const work = async (): Promise<void> => {
    const sandbox = makeSandbox(makeProject);
    const runner = new Runner();
    try {
      while (next < cases) {
        const number = only ?? next;
        next = only === undefined ? next + 1 : cases;
        const random = Random.of(seed, part, number);
        if (number > 0 && number % 250 === 0) console.log(`      ${part}: ${number} of ${cases}`);
        const find = (argv: readonly string[], what: string): void => {
          findings.push({ part, case: number, argv: argv.join(' ').slice(0, 300), what });
          console.log(`      ${part}:${number} ${what.slice(0, 300)}`);
        };
        await runCase(sandbox, runner, { random, number, make, find, told, isAlone: only !== undefined });
      }
    } finally {
      await runner.end();
      rmSync(sandbox.root, { recursive: true, force: true });
    }
  };
  await Promise.all([work(), work()]);
  return { findings, told };
}

interface OneCase {
  readonly random: Random;
  readonly number: number;
  readonly make: Make;
  readonly find: (argv: readonly string[], what: string) => void;
  readonly told: Told;
  /** Whether what comes of it is printed. */
  readonly isAlone: boolean;
}

async function runCase(
  { root, project, home }: Sandbox,
  runner: Runner,
  { random, number, make, find, told, isAlone }: OneCase,
): Promise<void> {
  const own = join(root, `case-${number}`); // another for each: a module is loaded once
  mkdirSync(own);
  const isSpawned = random.chance(0.01);
  const commands = make(random, own);
  for (const { argv, env, looks = false, folder = 'project', writes } of commands) {
    const [outside, inside, bytes] = [treeOf(root, own), treeOf(own), looks ? bytesOf(own) : ''];
    const call = {
      argv,
      env: cleanEnv(home, { CI: 'fuzz', ...env }),
      folder: folder === 'case' ? own : project,
    };
    const answer = isSpawned ? await runBin(call) : await runner.run(call);
    if (isAlone) console.log(argv, answer);
    for (const what of wrongsOf(answer)) find(argv, what);
    if (typeof answer !== 'string') {
      const code = answer.told === '' ? `exit ${answer.code}` : answer.told;
      told[code] = (told[code] ?? 0) + 1;
    }
    for (const name of changes(outside, treeOf(root, own)))
      if (name !== REPORT || !argv.some((word) => word.includes('report')))
        find(argv, `it writes to ${name}`);
    for (const name of changes(inside, treeOf(own)))
      if (!OWN.test(name) && !writes?.test(name)) find(argv, `it writes to ${name} beside the store`);
    if (looks && bytesOf(own) !== bytes) find(argv, 'it looks, and changes the store');
  }
  rmSync(own, { recursive: true, force: true });
}
