import { join } from 'node:path';
import { dropStore, freshStore, root, type StoreName, time } from './measure.js';
import type { Row } from './report.js';

/** Measures how late the event loop of an application is that fills its store while it serves. */
export async function servingRow(store: StoreName, audits: number): Promise<Row[]> {
  const path = freshStore({ audits, store });
  const { output } = await time(process.execPath, [join(root, 'dist/bench/serving.js'), path]);
  dropStore(path);
  const late = JSON.parse(output) as Record<'seconds' | 'p50Ms' | 'p99Ms' | 'maxMs', number>;
  return [
    {
      what: '`startBackfills()`: delay of the event loop',
      ours: `p50 ${late.p50Ms.toFixed(1)}, p99 ${late.p99Ms.toFixed(1)}, max ${late.maxMs.toFixed(1)} ms in ${late.seconds.toFixed(1)} s`,
      rival: '',
      target: 'p99 ≤ 20 ms',
      isMet: late.p99Ms <= 20,
    },
  ];
}
