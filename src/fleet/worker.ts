import { Writable } from 'node:stream';
import { main } from '../cli/main.js';
import type { StoreError, StoreResult, StoreTask } from './pool.js';

/**
 * A process of a fleet: runs a command on one store after the other, as the command line does, and sends what it printed.
 * Signals are the command's affair: between batches it stops behind the one under way, elsewhere it ends at once.
 */

let isBusy = false;

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
    env: { ...process.env, CI: 'fleet' }, // nobody sits at this one: no bar, no question
    folder: process.cwd(),
    stdout: output,
    stderr: process.stderr,
    onError: ({ code, message, hint }) => {
      error = { code, message, hint };
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
  if (process.connected) process.send?.(result);
});

// Whoever handed out the stores is done, or gone: then the store under way is stopped as by a signal.
process.on('disconnect', () => {
  if (isBusy) process.kill(process.pid, 'SIGTERM');
});
process.send?.('ready');
