import { spawn } from 'node:child_process';
import { afterEach } from 'mocha';
import { root } from './cli.js';

// Processes that hold the run lock of a store.

/** Takes the lock of the store that is its first argument and keeps it until it is killed. */
const HOLDER = `
  (async () => {
    const { RunLock } = await import(process.cwd() + '/dist/src/ledger/run-lock.js');
    const { locateStore } = await import(process.cwd() + '/dist/src/store/path.js');
    globalThis.lock = await RunLock.acquire(locateStore(process.argv[1]), { timeoutMs: 60000 });
    console.log('ready');
    setInterval(() => globalThis.lock, 1e6);
  })();`;

/** Takes the lock again and again, and each time writes into the file that is its second argument when it has it. */
const RIVAL = `
  (async () => {
    const { appendFileSync } = require('node:fs');
    const { setImmediate: nextTurn } = require('node:timers/promises');
    const { RunLock } = await import(process.cwd() + '/dist/src/ledger/run-lock.js');
    const { locateStore } = await import(process.cwd() + '/dist/src/store/path.js');
    const [store, file, rounds] = process.argv.slice(1);
    for (let round = 0; round < Number(rounds); round += 1) {
      const lock = await RunLock.acquire(locateStore(store), { timeoutMs: 60000 });
      appendFileSync(file, 'in ' + process.pid + '\\n');
      await nextTurn();
      appendFileSync(file, 'out ' + process.pid + '\\n');
      lock.release();
    }
  })();`;

/** A process that holds the lock. */
export interface HolderProcess {
  readonly pid: number;
  /** Ends it by SIGKILL and waits for that. */
  end(): Promise<void>;
}

/**
 * What starts processes that hold the lock of a store, and waits until they do. All of them are ended after each test, so
 * that one that fails leaves none behind.
 */
export function useHolders(): (store: string) => Promise<HolderProcess> {
  const started: HolderProcess[] = [];
  afterEach(() => Promise.all(started.splice(0).map((holder) => holder.end())));
  return async (store) => {
    const holder = await startHolder(store);
    started.push(holder);
    return holder;
  };
}

async function startHolder(store: string): Promise<HolderProcess> {
  const child = spawn(process.execPath, ['-e', HOLDER, store], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('close', () => reject(new Error('Expected the process to take the lock')));
    child.stdout.once('data', () => resolve());
  });
  return {
    pid: child.pid ?? 0,
    end: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** Starts a process that takes and releases the lock `rounds` times; resolves with its exit code. */
export function runRival(store: string, file: string, rounds: number): Promise<number | null> {
  const child = spawn(process.execPath, ['-e', RIVAL, store, file, String(rounds)], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve) => child.once('close', resolve));
}
