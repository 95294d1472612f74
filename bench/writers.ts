import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ddlTimes } from './ddl.js';
import { SCHEMA, spanOf } from './logged.js';
import {
  bin,
  inTurn,
  type Kind,
  median,
  middle,
  root,
  type StoreName,
  type Taken,
  time,
  up,
} from './measure.js';
import { compared, figure, type Row } from './report.js';

/** Waits of an application that inserts rows while a whole `up` runs, and what the `up` pays for it. */

/** A writer next to one `up`. Waits in milliseconds. */
interface Beside extends Taken {
  /** Of the inserts that overlapped the schema step. */
  readonly inDdl: readonly number[];
  readonly others: readonly number[];
  readonly busy: number;
}

/** The writer starts before `up`, and ends after it. */
const beside =
  (everyMs: number) =>
  async (store: string): Promise<Beside> => {
    const writer = spawn(process.execPath, [join(root, 'dist/bench/writer.js'), store, String(everyMs)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = new Promise((resolve) => writer.on('close', resolve));
    let output = '';
    const ready = new Promise<void>((resolve) => {
      writer.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.startsWith('ready\n')) resolve();
      });
    });
    await ready;
    await setTimeout(250);
    const startedAt = Date.now();
    // Not `up()`: its log is needed.
    const { seconds, cpu, log } = await time(process.execPath, [
      ...[bin, 'up', '--no-backup', '--db-path', store, '--log-level', 'info'],
    ]);
    const endedAt = Date.now();
    await setTimeout(everyMs);
    writer.kill('SIGTERM');
    await closed;
    const { waits, busy } = JSON.parse(output.slice('ready\n'.length)) as {
      readonly waits: readonly (readonly [number, number])[];
      readonly busy: number;
    };
    const ddl = spanOf(log, SCHEMA);
    const [inDdl, others]: [number[], number[]] = [[], []];
    for (const [from, to] of waits)
      if (to >= startedAt && from <= endedAt)
        (to >= ddl.startedAt && from <= ddl.finishedAt ? inDdl : others).push(to - from);
    return { seconds, cpu, inDdl, others, busy };
  };

const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? 0;

/** A writer's waits over all rounds: the greatest, and the median of the 99th percentiles. */
function waitRows(everyMs: number, runs: readonly Beside[], longestIndexMs: number): Row[] {
  const what = `writer every ${everyMs < 1000 ? `${everyMs} ms` : `${everyMs / 1000} s`}`;
  const [inDdl, others] = [runs.flatMap((run) => run.inDdl), runs.flatMap((run) => run.others)];
  const busy = runs.reduce((sum, run) => sum + run.busy, 0);
  const p99 = median(runs.map((run) => percentile([...run.inDdl, ...run.others], 0.99)));
  const [ddlMax, max] = [Math.max(0, ...inDdl), Math.max(0, ...others)];
  const ddlLimit = Math.round(longestIndexMs) + 110;
  const rows = [
    {
      ...figure(`${what}: longest wait during DDL`, `${ddlMax.toFixed(0)} ms of ${inDdl.length}`),
      rival: `${longestIndexMs.toFixed(0)} ms, the longest CREATE INDEX`,
      target: `≤ ${ddlLimit} ms`,
      isMet: inDdl.length === 0 ? undefined : ddlMax <= ddlLimit,
    },
    {
      ...figure(
        `${what}: longest wait before and after DDL`,
        `${max.toFixed(0)} ms of ${others.length}; ${busy} busy`,
      ),
      target: '≤ 250 ms, 0 busy',
      isMet: max <= 250 && busy === 0,
    },
  ];
  if (everyMs > 5) return rows;
  return [
    ...rows,
    { ...figure(`${what}: p99`, `${p99.toFixed(1)} ms`), target: '≤ 40 ms', isMet: p99 <= 40 },
  ];
}

/** Measures writers of several rates, and what throttling costs without any. */
export async function writerRows(store: StoreName, audits: number, rounds: number): Promise<Row[]> {
  const kind: Kind = { store, audits };
  const fullPace = (path: string) =>
    time(process.execPath, [
      bin,
      'up',
      '--no-backup',
      '--pace',
      'full',
      '--db-path',
      path,
      '--log-level',
      'warn',
    ]);
  const acts = [up, fullPace, beside(5), beside(200), beside(2000)];
  const [alone = [], full = [], ...writers] = await inTurn<Taken>(kind, rounds, acts);
  const indexes = (await inTurn(kind, rounds, [async (path) => ddlTimes(path)]))[0] ?? [];
  const longest = (indexes[0] ?? []).map((_, i) => median(indexes.map((times) => times[i] ?? Number.NaN)));
  const ofRate = (i: number): Beside[] => (writers[i] ?? []) as Beside[];
  return [
    compared('whole `up` alone, against `--pace full`', middle(alone), middle(full), { time: 1.05 }),
    compared('whole `up` next to a writer every 5 ms, against alone', middle(ofRate(0)), middle(alone), {
      time: 2,
    }),
    ...[5, 200, 2000].flatMap((everyMs, i) => waitRows(everyMs, ofRate(i), Math.max(...longest))),
  ];
}
