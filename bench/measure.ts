import { spawn, spawnSync } from 'node:child_process';
import { constants, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { generateStore } from '../demo/store-generator.js';

/** Stores to measure on, and the time, processor time and memory of whole processes. */

/** The project's folder: npm runs its scripts there. */
export const root = process.cwd();
const stores = join(root, 'bench/.stores');
export const work = join(root, 'bench/.work');
export const bin = join(root, 'dist/src/cli/bin.js');

/** Time that something took, in seconds. */
export interface Taken {
  readonly seconds: number;
  /** User and system time of the process and of all that it started and waited for; NaN if bash is missing. */
  readonly cpu: number;
}

/** A run of one process. */
export interface Run extends Taken {
  /** Peak of its resident memory, in MiB; NaN if the system does not report it. */
  readonly peakMib: number;
  readonly output: string;
  /** Text that it wrote to stderr. */
  readonly log: string;
}

/** Name of a kind of store: `bench` is the generator's default, `wide` its option. */
export type StoreName = 'bench' | 'wide';

/** Options of a generated store. */
export interface Kind {
  readonly audits: number;
  readonly store?: StoreName;
  readonly supervisorShare?: number;
  readonly journalMode?: 'wal' | 'delete';
}

/** Returns a generated store, which is made once and kept. It must not be changed. */
export function keptStore({ audits, store = 'bench', supervisorShare, journalMode }: Kind): string {
  const share = supervisorShare === undefined ? '' : `-${supervisorShare}`;
  const kept = join(stores, `${store}${audits}${share}${journalMode === 'delete' ? '-delete' : ''}.db`);
  mkdirSync(stores, { recursive: true });
  if (!existsSync(kept)) {
    console.error(`Making a store of ${audits.toLocaleString('en-US')} audits ...`);
    generateStore({
      path: kept,
      audits,
      wide: store === 'wide',
      ...(supervisorShare === undefined ? {} : { supervisorShare }),
      ...(journalMode ? { journalMode } : {}),
    });
  }
  return kept;
}

/** Returns a fresh copy of a generated store. */
export function freshStore(kind: Kind): string {
  mkdirSync(work, { recursive: true });
  const copy = join(work, 'store.db');
  dropStore(copy);
  copyFileSync(keptStore(kind), copy, constants.COPYFILE_FICLONE);
  spawnSync('sync'); // else its write-back would fall into the time of what is measured
  return copy;
}

/** Removes a store with all that stands beside it. */
export function dropStore(path: string): void {
  for (const tail of ['', '-wal', '-shm', '-journal', '.lock', '.lock-journal'])
    rmSync(path + tail, { force: true });
}

/** Whether a program can be run here. */
export const has = (program: string): boolean =>
  spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

const hasBash = has('bash');

/**
 * Runs the arguments, and prints seconds of time, user time and system time to the descriptor 3. The keyword counts all descendants that
 * were waited for, to the millisecond; node reports the processor time of none but itself.
 */
const TIMED = `TIMEFORMAT='%R %U %S'; { time "$@" 2>&4 3>&- 4>&-; } 4>&2 2>&3`;

/**
 * Runs a command to its end.
 *
 * @param input text for its stdin
 * @throws Error if it fails
 */
export async function time(
  command: string,
  args: readonly string[],
  { input = '', cwd = root }: { readonly input?: string; readonly cwd?: string } = {},
): Promise<Run> {
  const startedAt = performance.now();
  const [program, given] = hasBash ? ['bash', ['-c', TIMED, 'bash', command, ...args]] : [command, [...args]];
  const child = spawn(program, given, { cwd, stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
  let peakKib = 0;
  const look = setInterval(() => {
    for (const pid of hasBash ? childrenOf(child.pid) : [child.pid])
      peakKib = Math.max(peakKib, Number(/VmHWM:\s+(\d+)/.exec(procFile(pid, 'status'))?.[1] ?? 0));
  }, 50);
  const texts = ['', '', '', ''];
  for (const [i, stream] of child.stdio.entries())
    if (i > 0)
      (stream as Readable | null)?.setEncoding('utf8').on('data', (text: string) => {
        texts[i] += text;
      });
  child.stdin?.on('error', () => undefined); // it may end before it has read all
  child.stdin?.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  clearInterval(look);
  const [, output = '', log = '', times = ''] = texts;
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${log.slice(-2000)}`);
  const [real, user, system] = times.trim().replaceAll(',', '.').split(' ').map(Number);
  return {
    seconds: hasBash ? Number(real) : (performance.now() - startedAt) / 1000,
    cpu: hasBash ? Number(user) + Number(system) : Number.NaN,
    peakMib: peakKib > 0 ? peakKib / 1024 : Number.NaN,
    output,
    log,
  };
}

/** Returns the text of a file of `/proc/PID`; empty if there is none, such as of a process that has just ended. */
function procFile(pid: number | string | undefined, name: string): string {
  try {
    return pid === undefined ? '' : readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(String((error as { code?: string }).code))) return '';
    throw error;
  }
}

const childrenOf = (pid: number | string | undefined): string[] =>
  procFile(pid, `task/${pid}/children`).split(' ').filter(Boolean);

/** Returns the processor time of a process, its descendants, and those that ended, in seconds; NaN if the system does not report it. */
export function cpuOfTree(pid: number | string): number {
  const stat = procFile(pid, 'stat');
  if (stat === '') return existsSync('/proc/self/stat') ? 0 : Number.NaN;
  // After the name, which is in parentheses; see proc(5): the fields 14 to 17, in hundredths of a second.
  const own = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .reduce((sum, ticks) => sum + Number(ticks) / 100, 0);
  return childrenOf(pid).reduce((sum, child) => sum + cpuOfTree(child), own);
}

/** Runs the command line on a store. */
export const migrate = (store: string, ...args: readonly string[]): Promise<Run> =>
  time(process.execPath, [bin, ...args, '--db-path', store, '--log-level', 'warn']);

/** Applies every step to a store. */
export const up = (store: string): Promise<Run> => migrate(store, 'up', '--no-backup');

/** Returns the middle of some figures, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? upper) + upper) / 2;
}

/** Returns the medians of some runs. */
export const middle = (runs: readonly Taken[]): Taken => ({
  seconds: median(runs.map(({ seconds }) => seconds)),
  cpu: median(runs.map(({ cpu }) => cpu)),
});

/** Runs each act on a fresh copy of a store, in turn, and returns the runs by act. */
export async function inTurn<Result>(
  kind: Kind,
  rounds: number,
  acts: readonly ((store: string) => Promise<Result>)[],
): Promise<Result[][]> {
  const runs: Result[][] = acts.map(() => []);
  for (let round = 0; round < rounds; round += 1)
    for (const [i, act] of acts.entries()) {
      const store = freshStore(kind);
      runs[i]?.push(await act(store));
      dropStore(store);
    }
  return runs;
}
