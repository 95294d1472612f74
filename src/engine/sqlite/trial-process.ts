import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { runTrial, type Trial } from './trial.js';

/**
 * A process that runs one trial, from stdin to stdout. A thread of it ends it in any case: SQLite hears no signal, and the command that
 * waits for it may be killed.
 */

const [, , limitMs = '0', limitBytes = '0'] = process.argv;
const kill = `process.kill(process.pid, 'SIGKILL')`;
new Worker(
  `setTimeout(() => ${kill}, ${Number(limitMs)});
  setInterval(() => process.memoryUsage.rss() > ${Number(limitBytes)} && ${kill}, 20);`,
  { eval: true },
).unref();

const result = runTrial(JSON.parse(readFileSync(0, 'utf8')) as Trial);
process.stdout.write(JSON.stringify(result), () => process.exit(0));
