import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { runTrial, type Trial } from './trial.js';

/** A process that runs one trial, from stdin to stdout. It ends in any case: the command that waits for it may be killed, and SQLite hears no signal. */

const [, , limitMs = '0'] = process.argv;
const kill = `setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${Number(limitMs)})`;
new Worker(kill, { eval: true }).unref();

const result = runTrial(JSON.parse(readFileSync(0, 'utf8')) as Trial);
process.stdout.write(JSON.stringify(result), () => process.exit(0));
