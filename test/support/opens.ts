import { readFileSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { bin, root, runCommand } from './cli.js';

// Which files a command opens: by `fs`, as a listener in its process sees it, and altogether, as the kernel does.

const hook = join(root, 'test/support/opens-hook.mjs');

/** Runs a command under the listener, and insists that it ends well; returns the real paths that it opened by `fs`. */
export async function openedByFs(command: readonly string[], file: string) {
  rmSync(file, { force: true });
  const env = { NODE_OPTIONS: `--import ${hook}`, UMZUG_BACKFILL_OPENS: file };
  const result = await runCommand([process.execPath, ...command], { env });
  expect(result.code, `${command.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
  return readFileSync(file, 'utf8').split('\n');
}

/**
 * Runs the command line under strace, and insists that it ends well; returns what its own process opened, with all its
 * threads but without the processes that it started; with flags as `O_RDONLY|O_CLOEXEC`, and the mode of what it made.
 */
export async function openedByProcess(args: readonly string[], file: string, prefix: readonly string[] = []) {
  const calls = 'trace=open,openat,creat,clone,clone3,fork,vfork';
  const strace = ['strace', '-f', '--seccomp-bpf', '-qq', '-s', '4096', '-o', file, '-e', calls];
  const result = await runCommand([...prefix, ...strace, process.execPath, bin, ...args]);
  expect(result.code, `${args.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, pid, call] = /^(\d+) +(.*)$/.exec(line) ?? [];
      return pid === undefined || call === undefined ? [] : [{ pid, call }];
    });
  const processes = processesOf(lines);
  const own = processes(lines[0]?.pid ?? '');
  return lines.filter(({ pid }) => processes(pid) === own).flatMap(({ call }) => openOf(call));
}

/** Which process a thread belongs to. */
function processesOf(lines: readonly { readonly pid: string; readonly call: string }[]) {
  const creators = new Map<string, string>();
  const begun = new Map<string, string>();
  for (const { pid, call } of lines) {
    if (/^(?:clone3?|v?fork)\(/.test(call)) begun.set(pid, call);
    const [, created] =
      /^(?:clone3?\(|v?fork\(|<\.\.\. (?:clone3?|v?fork) resumed>).* = (\d+)$/.exec(call) ?? [];
    if (created !== undefined && begun.get(pid)?.includes('CLONE_THREAD')) creators.set(created, pid);
  }
  return function find(pid: string): string {
    const creator = creators.get(pid);
    return creator === undefined ? pid : find(creator);
  };
}

function openOf(call: string) {
  const [, quoted, flags, mode] =
    /^open(?:at)?\((?:[^",]+, )?("(?:[^"\\]|\\.)*"), (\w+(?:\|\w+)*)(?:, (0\d*))?/.exec(call) ?? [];
  if (quoted === undefined || flags === undefined) return [];
  const path = JSON.parse(quoted) as string;
  return [{ path, flags, mode: mode === undefined ? undefined : Number.parseInt(mode, 8) }];
}

/** The files of a live store that nobody but SQLite may open in a process that has it open, by their real paths. */
export function filesOf(store: string): string[] {
  return ['', '-wal', '-shm', '-journal', '.lock'].map((suffix) => realpathSync(store) + suffix);
}
