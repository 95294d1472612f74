import { join } from 'node:path';
import Database from 'better-sqlite3';
import {
  dropStore,
  freshStore,
  type Kind,
  middle,
  migrate,
  root,
  type StoreName,
  type Taken,
  time,
  up,
} from './measure.js';
import { compared, type Row } from './report.js';

/** Derivation and verification, each against the least that would do. */

const SCOPE = `event_type LIKE '%SUPERVISOR%'`;

/** One scan, one `json_extract` per row. */
const SCAN = `SELECT count(CASE WHEN json_valid(payload) THEN json_extract(payload, '$.source_event_ts') END) FROM task_audits`;
const SCAN_PROGRAM = `const D = require('better-sqlite3'); new D(process.argv[1], { readonly: true }).prepare(process.argv[2]).get()`;

/** Derivation: each document is readable, because the baseline stops at one that is not. */
async function derivationRow(kind: Kind, rounds: number): Promise<Row> {
  const store = freshStore(kind);
  await migrate(store, 'up', '--step', '1', '--no-backup');
  const db = new Database(store);
  db.exec(
    `UPDATE task_audits SET payload = '{}' WHERE ${SCOPE} AND payload IS NOT NULL AND NOT json_valid(payload)`,
  );
  db.close();
  const runs: [Taken[], Taken[]] = [[], []];
  const program = join(root, 'dist/bench/derivation.js');
  for (let round = 0; round < rounds; round += 1)
    for (const [i, name] of ['ours', 'bare'].entries())
      runs[i]?.push(JSON.parse((await time(process.execPath, [program, store, name])).output));
  dropStore(store);
  const [ours, bare] = runs.map(middle) as [Taken, Taken];
  return compared('derivation alone, against seven bare `->>`', ours, bare, { time: 1.15 });
}

async function verifyRow(kind: Kind, rounds: number): Promise<Row> {
  const store = freshStore(kind);
  await up(store);
  const runs: [Taken[], Taken[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    runs[0].push(await migrate(store, 'verify'));
    runs[1].push(await time(process.execPath, ['-e', SCAN_PROGRAM, store, SCAN]));
  }
  dropStore(store);
  return compared(
    '`verify` alone, against a scan with one `json_extract` per row',
    middle(runs[0]),
    middle(runs[1]),
    {
      time: 1.8,
    },
  );
}

/** Measures the parts of an `up`. */
export const partRows = async (store: StoreName, audits: number, rounds: number): Promise<Row[]> => [
  await derivationRow({ store, audits }, rounds),
  await verifyRow({ store, audits }, rounds),
];
