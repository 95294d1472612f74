import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { BackfillError, createMigrator, defineBackfill, defineSchemaStep, firstOf } from '../src/index.js';

// An application that serves HTTP while it migrates its store in the same thread: it tells how late its event loop was, and how many
// requests it has answered.

const RESOLUTION_MS = 2;
/** Shorter pauses are not worth a place in a list. */
const PAUSE_MS = 5;

/** What it is told to do: to serve alone for a while, or a command. */
export type Order = { readonly aloneMs: number } | { readonly run: 'up' | 'status' };

/** What it has measured meanwhile. Times in milliseconds, as the event loop was late. */
export interface Measured {
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly served: number;
  /** Longest pause of the event loop by where most of it was: before the batches, in them, behind them. */
  readonly longestMs: Readonly<Record<Phase, number>>;
  /** Of the error that the command ended with. */
  readonly code?: string;
}
type Phase = 'before' | 'batches' | 'behind';

const [database = '', targetBatchMs] = process.argv.slice(2);
const phases: { readonly phase: Phase; readonly from: number }[] = [];
const migrator = createMigrator({
  database,
  backup: false,
  ...(targetBatchMs === undefined ? {} : { targetBatchMs: Number(targetBatchMs) }),
  onEvent({ event }) {
    if (event === 'batches_started') phases.push({ phase: 'batches', from: performance.now() });
    if (event === 'batches_finished') phases.push({ phase: 'behind', from: performance.now() });
  },
  steps: {
    '001-columns': defineSchemaStep({ table: 'events', columns: { at: 'text' } }),
    '002-at': defineBackfill({
      table: 'events',
      key: 'id',
      columns: { at: firstOf('body', ['ts'], 'made') },
    }),
  },
});

let served = 0;
const server = createServer((_, response) => {
  served += 1;
  response.end('{}');
}).listen(0, '127.0.0.1');
await once(server, 'listening');

/** Each pause of the event loop: a timer that comes too late. */
const pauses: { readonly from: number; readonly ms: number }[] = [];
let lastAt = performance.now();
setInterval(() => {
  const now = performance.now();
  if (now - lastAt > PAUSE_MS) pauses.push({ from: lastAt, ms: now - lastAt });
  lastAt = now;
}, 1);

function longest(): Record<Phase, number> {
  const found = { before: 0, batches: 0, behind: 0 };
  for (const { from, ms } of pauses) {
    const phase = phases.findLast((begun) => begun.from <= from + ms / 2)?.phase ?? 'before';
    found[phase] = Math.max(found[phase], ms);
  }
  return found;
}

/** The code of the error that a command ends with, if it does. */
async function codeOf(command: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await command();
    return undefined;
  } catch (error) {
    // umzug wraps the error of a step; its code is on both.
    const known = error instanceof Error && error.name === 'MigrationError' ? error.cause : error;
    if (!(known instanceof BackfillError)) throw error;
    return known.code;
  }
}

async function measure(order: Order): Promise<Measured> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  await sleep(5 * RESOLUTION_MS); // it measures from its first turn on
  delay.reset();
  [served, pauses.length, phases.length] = [0, 0, 0];
  const startedAt = performance.now();
  const code =
    'aloneMs' in order
      ? await sleep(order.aloneMs, undefined)
      : await codeOf(async () => void (await migrator[order.run]()));
  await sleep(2 * RESOLUTION_MS); // a pause right before the end is seen when the next timer comes
  delay.disable();
  // The histogram holds the time between two turns, of which the resolution is none's delay.
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  return {
    seconds: (performance.now() - startedAt) / 1000,
    p50Ms: late(delay.percentile(50)),
    p99Ms: late(delay.percentile(99)),
    maxMs: late(delay.max),
    served,
    longestMs: longest(),
    ...(code === undefined ? {} : { code }),
  };
}

process.on('message', async (order: Order) => process.send?.(await measure(order)));
process.once('disconnect', () => process.exit());
process.send?.((server.address() as AddressInfo).port);
