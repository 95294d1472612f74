import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { PostgresServer } from '../demo/postgres-server.js';
import { commandLine, run, spanOf } from './logged.js';
import { has, median, root, time } from './measure.js';
import { ask, copyDatabase, FILLED, makeDatabase, onCopy, onServer } from './postgres-store.js';
import { missing, type Row } from './report.js';

/** What an application keeps of its throughput while a backfill runs in its database: pgbench's, two clients that write all the time. */

const SCALE = 10;
const CLIENTS = 2;
/** Behind a checkpoint the first write to each page costs most. */
const WARM_UP_MS = 10_000;
/** How long pgbench is watched before the fill, and after it. */
const ALONE_MS = 15_000;
/** How long it is watched beside the fill, which is stopped then. */
const BESIDE_MS = 30_000;

const PACES = ['courteous', 'full'] as const;

interface Span {
  readonly startedAt: number;
  readonly endedAt: number;
}

/** Transactions a second of pgbench, and rows a second of the fill. */
interface Measured {
  readonly before: number;
  readonly beside: number;
  readonly after: number;
  readonly filled: number;
}

/** pgbench's tables beside the store's, whose schema step is applied: index builds are no matter of pace. */
async function prepare(server: PostgresServer, from: string, to: string): Promise<void> {
  await copyDatabase(server, from, to);
  await time(join(server.bin, 'pgbench'), ['-i', '-q', '-s', String(SCALE), server.url(to)]);
  await run(server.url(to), 'up', '--step', '1');
}

/** A process with what it has written to stderr so far. */
function start(command: string, args: readonly string[]): { child: ChildProcess; log: () => string } {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  return { child, log: () => log };
}

/** Fills for a while, and tells how long that was. */
async function fill(url: string, pace: string): Promise<Span> {
  const { child, log } = start(process.execPath, commandLine(url, ['up', '--pace', pace]));
  let hasEnded = false;
  const closed = once(child, 'close').finally(() => {
    hasEnded = true;
  });
  let stopAt = Number.POSITIVE_INFINITY;
  while (!hasEnded && Date.now() < stopAt) {
    await Promise.race([closed, setTimeout(50)]);
    const { startedAt } = spanOf(log());
    if (startedAt > 0) stopAt = startedAt + BESIDE_MS;
  }
  child.kill('SIGTERM'); // it stops behind its batch
  const [code] = await closed;
  const { startedAt, finishedAt } = spanOf(log());
  if (code !== 0 && code !== 143) throw new Error(`up ended with ${code}: ${log().slice(-2000)}`);
  return { startedAt, endedAt: Number.isNaN(finishedAt) ? Date.now() : finishedAt };
}

async function alone(): Promise<Span> {
  const startedAt = Date.now();
  await setTimeout(ALONE_MS);
  return { startedAt, endedAt: Date.now() };
}

/** How many transactions a second began in a span of time: each has left a row in pgbench's history. */
async function tpsIn(url: string, { startedAt, endedAt }: Span): Promise<number> {
  const [from, to] = [startedAt, endedAt].map((time) => `'${new Date(time).toISOString()}'`);
  const count = await ask(
    url,
    `SELECT count(*) FROM pgbench_history WHERE mtime >= ${from} AND mtime < ${to}`,
  );
  return Number(count) / ((endedAt - startedAt) / 1000);
}

/** pgbench alone, beside a fill, and alone again, in one run. */
const measure = (server: PostgresServer, template: string, pace: string): Promise<Measured> =>
  onCopy(server, template, async (url) => {
    const args = ['-n', '-c', String(CLIENTS), '-T', '86400', url];
    const { child, log } = start(join(server.bin, 'pgbench'), args);
    const closed = once(child, 'close');
    try {
      await setTimeout(WARM_UP_MS);
      const before = await alone();
      const span = await fill(url, pace);
      const after = await alone();
      if (child.exitCode !== null) throw new Error(`pgbench ended with ${child.exitCode}: ${log()}`);
      return {
        before: await tpsIn(url, before),
        beside: await tpsIn(url, span),
        after: await tpsIn(url, after),
        filled: Number(await ask(url, FILLED)) / ((span.endedAt - span.startedAt) / 1000),
      };
    } finally {
      child.kill();
      await closed;
    }
  });

/** Measures the share that pgbench keeps of its throughput next to each pace, in turn on fresh copies; medians. */
export const courtesyRows = (audits: number, rounds: number): Promise<Row[]> =>
  onServer(async (server) => {
    const what = `pgbench, ${CLIENTS} clients in the same database`;
    if (!has(join(server.bin, 'pgbench'))) return [missing(what, 'pgbench')];
    await makeDatabase(server, 'audits', { audits });
    await prepare(server, 'audits', 'busy');
    const runs: Record<(typeof PACES)[number], Measured[]> = { courteous: [], full: [] };
    for (let round = 0; round < rounds; round += 1)
      for (const pace of PACES) runs[pace].push(await measure(server, 'busy', pace));
    return PACES.map((pace): Row => {
      const of = (value: (one: Measured) => number): number => median(runs[pace].map(value));
      const kept = of(({ before, beside, after }) => (2 * beside) / (before + after));
      const [before, after] = [of((one) => one.before), of((one) => one.after)];
      return {
        what: `${what}, next to \`up --pace ${pace}\``,
        ours: `${of((one) => one.beside).toFixed(0)} transactions per second; ${of((one) => one.filled).toFixed(0)} rows per second filled`,
        rival: `${before.toFixed(0)} alone before, ${after.toFixed(0)} after`,
        ratio: kept,
        ...(pace === 'courteous' ? { target: '≥ 0.8 ×', isMet: kept >= 0.8 } : { target: '' }),
      };
    });
  });
