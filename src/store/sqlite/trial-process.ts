import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { runTrial, type Trial } from './trial.js';

/** A process that runs one trial, from stdin to stdout. It ends in any case: its parent may be killed, and SQLite hears no signal. */

const [, , limitMs = '0'] = process.argv;
const watch = new Worker(`setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${Number(limitMs)})`, {
  eval: true,
  stdout: false,
  stderr: false,
});
watch.unref();

const result = runTrial(JSON.parse(readFileSync(0, 'utf8')) as Trial);
process.stdout.write(JSON.stringify(result), () => process.exit(0));
