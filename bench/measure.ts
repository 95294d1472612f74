import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { generateStore } from '../demo/store-generator.js';

/** Stores to measure on, and the time and memory of whole processes. */

/** The project's folder: npm runs its scripts there. */
export const root = process.cwd();
const stores = join(root, 'bench/.stores');
const work = join(root, 'bench/.work');
export const bin = join(root, 'dist/src/cli/bin.js');

/** What one process took. */
export interface Run {
  readonly seconds: number;
  /** Peak of its resident memory, in MiB, or undefined where the system does not tell. */
  readonly peakMib: number | undefined;
  readonly output: string;
  /** What it wrote to stderr. */
  readonly log: string;
}

/** Which store. */
export interface Kind {
  readonly audits: number;
  readonly supervisorShare?: number;
  readonly journalMode?: 'wal' | 'delete';
}

/** A fresh copy of a generated store, which is made once and kept. */
export function freshStore({ audits, supervisorShare, journalMode }: Kind): string {
  const name = `${supervisorShare === undefined ? 's' : 'sel'}${audits}${journalMode === 'delete' ? '-delete' : ''}.db`;
  const kept = join(stores, name);
  mkdirSync(stores, { recursive: true });
  mkdirSync(work, { recursive: true });
  if (!existsSync(kept)) {
    console.error(`Making a store of ${audits.toLocaleString('en-US')} audits ...`);
    generateStore({
      path: kept,
      audits,
      ...(supervisorShare === undefined ? {} : { supervisorShare }),
      ...(journalMode ? { journalMode } : {}),
    });
  }
  const copy = join(work, name);
  dropStore(copy);
  copyFileSync(kept, copy);
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

/**
 * Runs a command to its end.
 *
 * @param input what it reads from stdin
 * @throws Error when it fails
 */
export async function time(command: string, args: readonly string[], input = ''): Promise<Run> {
  const startedAt = performance.now();
  const child = spawn(command, args, { cwd: root, stdio: ['pipe', 'pipe', 'pipe'] });
  let [output, errors, peakKib] = ['', '', 0];
  const look = setInterval(() => {
    peakKib = Math.max(peakKib, peakOf(child.pid));
  }, 50);
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  clearInterval(look);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${errors.slice(-2000)}`);
  const seconds = (performance.now() - startedAt) / 1000;
  return { seconds, peakMib: peakKib > 0 ? peakKib / 1024 : undefined, output, log: errors };
}

/** The high-water mark of a process's resident memory, which the kernel keeps, in KiB; 0 where it does not tell. */
function peakOf(pid: number | undefined): number {
  const file = `/proc/${pid}/status`;
  if (pid === undefined || !existsSync(file)) return 0;
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(file, 'utf8'))?.[1] ?? 0);
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT' || (error as { code?: string }).code === 'ESRCH')
      return 0; // it has just ended
    throw error;
  }
}

/** Runs the command line on a store. */
export const migrate = (store: string, ...args: readonly string[]): Promise<Run> =>
  time(process.execPath, [bin, ...args, '--db-path', store, '--log-level', 'warn']);

/** The middle of some figures, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? upper) + upper) / 2;
}
