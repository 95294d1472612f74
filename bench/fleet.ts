import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { dropStore, freshStore, median, migrate } from './measure.js';
import type { Row } from './report.js';

/** Rows of each store of a fleet. */
const ROWS = 1000;

/** Many stores against one of as many rows, in turn, both by `up`. */
export async function fleetRow(audits: number, rounds: number): Promise<Row> {
  const [many, one]: number[][] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    const template = freshStore({ audits: ROWS });
    const folder = join(dirname(template), 'fleet');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (let i = 0; i < audits / ROWS; i += 1) copyFileSync(template, join(folder, `${i}.db`));
    many?.push((await migrate(join(folder, '*.db'), 'up', '--no-backup')).seconds);
    rmSync(folder, { recursive: true });
    dropStore(template);
    const store = freshStore({ audits });
    one?.push((await migrate(store, 'up', '--no-backup')).seconds);
    dropStore(store);
  }
  const [ours, rival] = [median(many ?? []), median(one ?? [])];
  return {
    what: `up, ${(audits / ROWS).toLocaleString('en-US')} stores of ${ROWS.toLocaleString('en-US')} audits, ${availableParallelism()} processes`,
    ours: `${ours.toFixed(2)} s`,
    rival: `${rival.toFixed(2)} s in one store`,
    ratio: ours / rival,
    atMost: 1.3,
    target: '≤ 1.3 ×',
  };
}
