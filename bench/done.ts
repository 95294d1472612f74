import { inTurn, middle, migrate, type StoreName, type Taken, up } from './measure.js';
import { compared, type Row, timed } from './report.js';

/** `up` by size and share, and `down`. */

/** Measures `up` of small stores, and of one with few rows in scope. */
export async function sizeRows(store: StoreName, audits: number, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [size, atMost] of [
    [1000, 0.5],
    [10_000, 0.6],
    [100_000, 1.6],
  ] as const) {
    const [runs = []] = await inTurn({ audits: size, store }, rounds, [up]);
    rows.push(timed(`\`up\`, ${size.toLocaleString('en-US')} audits`, middle(runs), atMost));
  }
  if (store === 'wide') return rows; // its share is fixed
  const [few = []] = await inTurn({ audits, supervisorShare: 0.001 }, rounds, [up]);
  return [...rows, timed('`up`, 1 in 1,000 audits in scope', middle(few))];
}

/** Measures `down` of the backfill against its `up`. */
export async function doneRows(store: StoreName, audits: number, rounds: number): Promise<Row[]> {
  const act = async (path: string) => {
    await migrate(path, 'up', '--step', '1', '--no-backup');
    return { up: await up(path), down: await migrate(path, 'down', '--no-backup') };
  };
  const [runs = []] = await inTurn({ audits, store }, rounds, [act]);
  const of = (name: 'up' | 'down'): Taken => middle(runs.map((run) => run[name]));
  return [compared('`down` of the backfill, against its `up`', of('down'), of('up'), { time: 1.2 })];
}
