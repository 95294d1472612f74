import { Writable } from 'node:stream';
import { main } from '../cli/main.js';
import type { StoreError, StoreResult, StoreTask } from './pool.js';

/**
 * A process of a fleet: runs a command on one store after another, as the command line does, and sends its output. The command handles
 * signals: a loop of batches stops after the current batch, other work ends at once.
 */

let isBusy = false;

/** Converts keys in messages: the pool's messages are JSON, because it does not trust these processes. */
const withoutBigint = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value;

process.on('message', async ({ argv, path }: StoreTask) => {
  isBusy = true;
  const startedAt = performance.now();
  let printed = '';
  let error: StoreError | undefined;
  const output = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      printed += text;
      done();
    },
  });
  const exitCode = await main([...argv, '--json', '--db-path', path], {
    env: { ...process.env, CI: 'fleet' }, // non-interactive: no progress bar, no prompts
    folder: process.cwd(),
    stdout: output,
    stderr: process.stderr,
    onError: ({ code, texts }) => {
      error = JSON.parse(JSON.stringify({ code, ...texts }, withoutBigint));
    },
    logFields: { store: path },
    ownsProcess: true,
  });
  const result: StoreResult = {
    path,
    exitCode,
    durationMs: Math.round(performance.now() - startedAt),
    output: printed === '' ? {} : JSON.parse(printed),
    ...(error ? { error } : {}),
  };
  isBusy = false;
  if (process.connected) process.send?.(result, () => {}); // the pool may have ended just now
});

// The pool has ended: stop the current store as a signal would.
process.on('disconnect', () => {
  if (isBusy) process.kill(process.pid, 'SIGTERM');
});
process.send?.('ready');
