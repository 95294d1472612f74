import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startBackfills } from '../src/index.js';

/** An application that fills its store while it serves: prints how late its event loop was, in milliseconds. */

const RESOLUTION_MS = 2;
const [path = ''] = process.argv.slice(2);
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const startedAt = performance.now();
delay.enable();
await startBackfills({ path, backup: false }).done;
delay.disable();
// The histogram holds the time between two turns, of which the resolution is none's delay.
const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
console.log(
  JSON.stringify({
    seconds: (performance.now() - startedAt) / 1000,
    p50Ms: late(delay.percentile(50)),
    p99Ms: late(delay.percentile(99)),
    maxMs: late(delay.max),
  }),
);
