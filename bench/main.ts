import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ddlRows } from './ddl.js';
import { eventLoopRows } from './event-loop.js';
import { fleetRow } from './fleet.js';
import { dropStore, freshStore, has, type Kind, median, migrate, type Run, root, time } from './measure.js';
import { postgresRows } from './postgres.js';
import { compared, missing, printRows, type Row, writeResults } from './report.js';
import { writerRows } from './writers.js';

/** Compares the command line with what people would run by hand. It measures; it never asserts. */

const { values: given } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    large: { type: 'boolean', default: false },
    postgres: { type: 'boolean', default: false },
    /** That alone; nothing is written to bench/RESULTS.md. */
    'event-loop': { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
  },
});
const AUDITS = given.short ? 100_000 : 1_000_000;
const rounds = given.short ? 1 : Number(given.rounds);
const size = (rows: number): string => rows.toLocaleString('en-US');
const sql = readFileSync(join(root, 'bench/rival.sql'), 'utf8');

type Act = (store: string) => Promise<Run>;

const up: Act = (store) => migrate(store, 'up', '--no-backup');
const shell: Act = (store) => time('sqlite3', [store], sql);
const script =
  (...flags: readonly string[]): Act =>
  (store) =>
    time('python3', [join(root, 'bench/rival.py'), store, join(root, 'bench/rival.sql'), ...flags]);

/** Runs each act on a fresh copy, in turn; the medians. */
async function inTurn(kind: Kind, acts: readonly Act[]): Promise<{ seconds: number; peakMib: number }[]> {
  const runs: Run[][] = acts.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [i, act] of acts.entries()) {
      const store = freshStore(kind);
      runs[i]?.push(await act(store));
      dropStore(store);
    }
  }
  return runs.map((own) => ({
    seconds: median(own.map(({ seconds }) => seconds)),
    peakMib: Math.max(...own.map(({ peakMib }) => peakMib ?? Number.NaN)),
  }));
}

async function rivalRows(): Promise<{ rows: Row[]; full: number }> {
  const kind = { audits: AUDITS };
  const [ours, byShell, byScript, byKey] = await inTurn(kind, [
    up,
    ...(has('sqlite3') ? [shell] : []),
    ...(has('sqlite3') && has('python3') ? [script(), script('--by-key')] : []),
  ]);
  const full = ours?.seconds ?? Number.NaN;
  const what = `up, ${size(AUDITS)} audits`;
  const peak = ours?.peakMib ?? Number.NaN;
  const rows: Row[] = [
    byShell
      ? compared(`${what}, against the sqlite3 shell`, full, byShell.seconds, 1)
      : missing(what, 'sqlite3'),
    byScript
      ? compared(`${what}, against a script row by row`, full, byScript.seconds, 0.4)
      : missing(what, 'python3'),
    ...(byKey
      ? [{ ...compared(`${what}, against one that continues by key`, full, byKey.seconds, 0.4), target: '' }]
      : []),
    {
      what: `peak memory of up, ${size(AUDITS)} audits`,
      ours: `${peak.toFixed(0)} MiB`,
      rival: '',
      target: '≤ 150 MiB',
      isMet: peak <= 150,
    },
  ];
  if (has('sqlite3')) {
    const [delete_, shellDelete] = await inTurn({ ...kind, journalMode: 'delete' }, [up, shell]);
    rows.push({
      ...compared(
        `${what}, rollback journal`,
        delete_?.seconds ?? Number.NaN,
        shellDelete?.seconds ?? Number.NaN,
        1,
      ),
      target: '',
    });
  }
  return { rows, full };
}

async function sizeRows(full: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [audits, atMost] of [
    [1000, 0.5],
    [10_000, 0.6],
    [100_000, 1.6],
  ] as const) {
    const [run] = await inTurn({ audits }, [up]);
    const seconds = run?.seconds ?? Number.NaN;
    rows.push({
      what: `up, ${size(audits)} audits`,
      ours: `${seconds.toFixed(2)} s`,
      rival: '',
      target: `≤ ${atMost} s`,
      isMet: seconds <= atMost,
    });
  }
  const [selective] = await inTurn({ audits: AUDITS, supervisorShare: 0.001 }, [up]);
  rows.push(
    compared(
      `up, ${size(AUDITS)} audits, 1 in 1,000 in scope`,
      selective?.seconds ?? Number.NaN,
      full,
      0.25,
      ' with 70% in scope',
    ),
  );
  if (!given.large) return rows;
  const store = freshStore({ audits: 10_000_000 });
  const { seconds, peakMib } = await up(store);
  const speed = 10 / seconds / (AUDITS / 1e6 / full);
  rows.push({
    what: 'rows per second at 10,000,000 audits',
    ours: `${size(Math.round(1e7 / seconds))} (${seconds.toFixed(1)} s)`,
    rival: `${size(Math.round(AUDITS / full))} at ${size(AUDITS)}`,
    ratio: speed,
    target: '≥ 0.85 ×',
    isMet: speed >= 0.85,
  });
  rows.push({
    what: 'peak memory of up, 10,000,000 audits',
    ours: `${peakMib?.toFixed(0)} MiB`,
    rival: '',
    target: '≤ 150 MiB',
    isMet: (peakMib ?? Number.NaN) <= 150,
  });
  rows.push(...(await idleRows(store, 10_000_000)));
  dropStore(store);
  return rows;
}

/** What a store costs on which nothing is to be done. */
async function idleRows(store: string, audits: number): Promise<Row[]> {
  const seconds = { node: [] as number[], up: [] as number[], status: [] as number[] };
  for (let round = 0; round < 7; round += 1) {
    seconds.node.push((await time(process.execPath, ['-e', '0'])).seconds);
    seconds.up.push((await up(store)).seconds);
    seconds.status.push((await migrate(store, 'status')).seconds);
  }
  const node = median(seconds.node);
  return (['up', 'status'] as const).map((name) => {
    const ours = median(seconds[name]);
    return {
      ...compared(`${name}, nothing pending, ${size(audits)} audits`, ours, node, 3, ' node -e 0'),
      target: '≤ 3 ×, or 0.3 s',
      isMet: ours <= Math.max(0.3, 3 * node),
    };
  });
}

const SCAN = `SELECT count(CASE WHEN json_valid(payload) THEN json_extract(payload, '$.source_event_ts') END) FROM task_audits`;

async function doneRows(): Promise<Row[]> {
  const seconds = { up: [] as number[], down: [] as number[], verify: [] as number[], scan: [] as number[] };
  let idle: Row[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const store = freshStore({ audits: AUDITS });
    await migrate(store, 'up', '--step', '1', '--no-backup');
    seconds.up.push((await up(store)).seconds);
    if (round === 0) idle = await idleRows(store, AUDITS);
    seconds.verify.push((await migrate(store, 'verify')).seconds);
    const program = `const D = require('better-sqlite3'); new D(process.argv[1], { readonly: true }).prepare(process.argv[2]).get()`;
    seconds.scan.push((await time(process.execPath, ['-e', program, store, SCAN])).seconds);
    seconds.down.push((await migrate(store, 'down', '--no-backup')).seconds);
    dropStore(store);
  }
  const small = freshStore({ audits: 1000 });
  await up(small);
  idle.unshift(...(await idleRows(small, 1000)));
  dropStore(small);
  return [
    compared(
      `down of the backfill, ${size(AUDITS)} audits`,
      median(seconds.down),
      median(seconds.up),
      1.2,
      ' its up',
    ),
    compared(
      `verify, ${size(AUDITS)} audits`,
      median(seconds.verify),
      median(seconds.scan),
      2,
      ' a scan with json_extract',
    ),
    ...idle,
  ];
}

/** How late the event loop of an application was that fills its store while it serves. */
async function servingRows(): Promise<Row[]> {
  const store = freshStore({ audits: AUDITS });
  const { output } = await time(process.execPath, [join(root, 'dist/bench/serving.js'), store]);
  dropStore(store);
  const late = JSON.parse(output) as Record<'seconds' | 'p50Ms' | 'p99Ms' | 'maxMs', number>;
  return [
    {
      what: `startBackfills(), ${size(AUDITS)} audits: delay of the event loop`,
      ours: `p50 ${late.p50Ms.toFixed(1)}, p99 ${late.p99Ms.toFixed(1)}, max ${late.maxMs.toFixed(1)} ms in ${late.seconds.toFixed(1)} s`,
      rival: '',
      target: 'p99 ≤ 20 ms',
      isMet: late.p99Ms <= 20,
    },
  ];
}

const sections: (readonly [string, readonly Row[]])[] = [];
function add(title: string, rows: readonly Row[]): void {
  sections.push([title, rows]);
  printRows(title, rows);
}

async function measureAll(): Promise<void> {
  const { rows: rivals, full } = await rivalRows();
  add('Compared with manual migrations', rivals);
  add('By size', await sizeRows(full));
  add('Many stores', [await fleetRow(AUDITS, Math.min(rounds, 2))]);
  add('Down, verify, and nothing to do', await doneRows());
  add('Locks of the schema step', ddlRows(AUDITS));
  add('An application that keeps serving', [...(await servingRows()), ...(await eventLoopRows(rounds))]);
  add('Next to another writer', await writerRows(AUDITS, rounds));
  if (given.postgres) add('PostgreSQL', await postgresRows(AUDITS, rounds));
  const flags = process.argv.slice(2).join(' ');
  if (!given.short) writeResults(`npm run bench${flags === '' ? '' : ` -- ${flags}`}`, sections);
}

if (given['event-loop']) add('An application that keeps serving', await eventLoopRows(rounds));
else await measureAll();
rmSync(join(root, 'bench/.work'), { recursive: true, force: true });
