import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { keptStore, middle, migrate, root, type StoreName, type Taken, time, work } from './measure.js';
import { compared, type Row } from './report.js';

/** Rows of each store. */
const ROWS = 1000;

/** Measures many small stores against a loop over them that runs the shell's script on each. */
export async function fleetRow(store: StoreName, audits: number, rounds: number): Promise<Row[]> {
  const folder = join(work, 'fleet');
  const loop = join(root, 'dist/bench/fleet-loop.js');
  const acts = [
    () => migrate(join(folder, '*.db'), 'up', '--no-backup'),
    () => time(process.execPath, [loop, folder, join(root, 'bench/rival.sql')]),
  ];
  const runs: [Taken[], Taken[]] = [[], []];
  for (let round = 0; round < rounds; round += 1)
    for (const [i, act] of acts.entries()) {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      const template = keptStore({ audits: ROWS, store });
      for (let n = 0; n < audits / ROWS; n += 1) copyFileSync(template, join(folder, `${n}.db`));
      spawnSync('sync');
      runs[i]?.push(await act());
    }
  rmSync(folder, { recursive: true });
  const what = `\`up\`, ${audits / ROWS} stores of ${ROWS} audits, against a loop of DDL and UPDATE`;
  return [compared(what, middle(runs[0]), middle(runs[1]), { time: 2.5, cpu: 2.5 })];
}
