import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { dropStore, freshStore, median, migrate, root } from './measure.js';
import type { Row } from './report.js';

/** What another program that inserts rows meets while a backfill runs, and what the backfill pays for it. */

interface Latencies {
  readonly inserts: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly busy: number;
}

/** The schema step is applied before: its locks are listed by themselves. */
async function prepared(audits: number): Promise<string> {
  const store = freshStore({ audits });
  await migrate(store, 'up', '--step', '1', '--no-backup');
  return store;
}

async function beside(
  audits: number,
  everyMs: number,
  flags: readonly string[],
): Promise<Latencies & { seconds: number }> {
  const store = await prepared(audits);
  const writer = spawn(process.execPath, [join(root, 'dist/bench/writer.js'), store, String(everyMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  writer.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise((resolve) => writer.on('close', resolve));
  const { seconds } = await migrate(store, 'up', '--no-backup', ...flags);
  writer.kill('SIGTERM');
  await ended;
  dropStore(store);
  return { ...(JSON.parse(output) as Latencies), seconds };
}

/** Flags of each point of the curve. */
const CURVE: readonly (readonly string[])[] = [
  [],
  ['--target-batch-ms', '10'],
  ['--target-batch-ms', '20'],
  ['--target-batch-ms', '80'],
  ['--pace', 'full'],
  ['--pace', 'full', '--batch-size', '1000'],
  ['--pace', 'full', '--batch-size', '5000', '--target-batch-ms', '1000'],
];

/** Measures a writer of every 5 and of every 200 ms. */
export async function writerRows(audits: number, rounds: number): Promise<Row[]> {
  const alone = { courteous: [] as number[], full: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    for (const pace of ['courteous', 'full'] as const) {
      const store = await prepared(audits);
      alone[pace].push((await migrate(store, 'up', '--no-backup', '--pace', pace)).seconds);
      dropStore(store);
    }
  }
  const [courteous, full] = [median(alone.courteous), median(alone.full)];
  const rows: Row[] = [
    {
      what: 'backfill alone: throttled against full pace',
      ours: `${courteous.toFixed(2)} s`,
      rival: `${full.toFixed(2)} s`,
      ratio: courteous / full,
      atMost: 1.05,
      target: '≤ 1.05 ×',
    },
  ];
  for (const [everyMs, p99Ms, maxMs, times] of [
    [5, 25, 150, 2.5],
    [200, 150, Number.POSITIVE_INFINITY, 1.3],
  ] as const) {
    for (const flags of CURVE) {
      const { seconds, p50, p99, max, busy, inserts } = await beside(audits, everyMs, flags);
      const isDefault = flags.length === 0;
      const isMet = p99 <= p99Ms && max <= maxMs && busy === 0 && seconds / courteous <= times;
      rows.push({
        what: `a row every ${everyMs} ms, ${isDefault ? 'by default' : flags.join(' ')}`,
        ours: `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(0)} ms; ${busy} busy of ${inserts}`,
        rival: `${seconds.toFixed(2)} s against ${courteous.toFixed(2)} s alone`,
        ratio: seconds / courteous,
        target: isDefault
          ? `p99 ≤ ${p99Ms} ms${Number.isFinite(maxMs) ? `, max ≤ ${maxMs} ms` : ''}, ≤ ${times} ×`
          : '',
        ...(isDefault ? { isMet } : {}),
      });
    }
  }
  return rows;
}
