import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { isVirtual } from '../sql.js';
import { runTrial, type Trial } from './trial.js';

/** A process that runs one trial, from stdin to stdout. */

const [, , limitMs = '0'] = process.argv;
const trial = JSON.parse(readFileSync(0, 'utf8')) as Trial;

// It ends in any case: the command that waits for it may be killed, and SQLite hears no signal. Tables and indexes alone take no time.
if (trial.objects.some(({ type, sql }) => /^(?:view|trigger)$/.test(type) || isVirtual(sql))) {
  const kill = `setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${Number(limitMs)})`;
  new Worker(kill, { eval: true }).unref();
}

process.stdout.write(JSON.stringify(runTrial(trial)), () => process.exit(0));
