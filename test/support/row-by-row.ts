import { expect } from 'chai';
import { up } from './migrate.js';
import { cellText, deriveRow, expectedSkips, storedValue, targets } from './reference.js';
import { asAgentOs, backfillStep, query } from './stores.js';

// The verification's figures, worked out a second time: by filters over rows in memory, and from what the table held before
// and after the backfill, never from the ledger.

/** A row in scope: what its columns hold and what its payload derives, null for nothing. */
export interface Row {
  readonly key: string;
  readonly group: string;
  readonly cells: readonly (string | null)[];
  readonly derived: readonly (string | null)[];
  /** What both columns fall back to. */
  readonly createdAt: string | null;
}

/** Reads the rows in scope in the order of their keys, and works out each for itself. */
export const readRows = (path: string): Row[] =>
  asAgentOs(path, (db) => {
    const present = db.prepare(`SELECT name FROM pragma_table_xinfo('task_audits')`).pluck().all();
    const columns = ['payload', 'created_at', ...targets.map(({ column }) => column)].map((column) => {
      const value = present.includes(column) ? column : 'NULL';
      return `typeof(${value}), CAST(${value} AS BLOB)`;
    });
    const rows = db
      .prepare(
        `SELECT CAST(audit_id AS TEXT), event_type, ${columns.join(', ')} FROM task_audits ORDER BY audit_id`,
      )
      .raw()
      .all() as [string, string, ...(string | Buffer | null)[]][];
    return rows.flatMap(([key, group, ...values]) => {
      if (!/supervisor/i.test(group)) return [];
      const [payload, createdAt, ...cells] = [0, 2, 4, 6].map((at) =>
        storedValue(values[at + 1] as Buffer | null, values[at] === 'text'),
      );
      if (!payload || !createdAt) throw new Error('Expected two columns at least');
      const derived = deriveRow({ payload, createdAt }).map((cell) =>
        cell.kind === 'text' ? cell.text : null,
      );
      return [{ key, group, cells: cells.map(cellText), derived, createdAt: cellText(createdAt) }];
    });
  });

/** SPEC's timestamps once more, exact to the microsecond: what Date does not move to another day or hour exists. */
export function microseconds(text: string | null): bigint | undefined {
  if (text === null) return undefined;
  if (/^\d{9,10}$/.test(text)) return BigInt(text) * 1_000_000n;
  if (/^\d{12,13}$/.test(text)) return BigInt(text) * 1000n;
  const parts = /^(.{10})[T ](.{8})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?$/.exec(text);
  const local = `${parts?.[1]}T${parts?.[2]}`;
  const date = new Date(`${local}Z`);
  if (Number.isNaN(date.getTime()) || !date.toISOString().startsWith(local)) return undefined;
  const [hours = 0, minutes = 0] = parts?.[4]?.slice(1).split(':').map(Number) ?? [];
  const offset = BigInt(hours * 60 + minutes) * (parts?.[4]?.startsWith('-') ? -60_000_000n : 60_000_000n);
  return BigInt(date.getTime()) * 1000n + BigInt((parts?.[3] ?? '').slice(0, 6).padEnd(6, '0')) - offset;
}

/** Whether a timestamp states no offset. */
export const isNaive = (time: string): boolean => !/^\d+$|Z$|[+-]\d\d:\d\d$/.test(time);

const share = (part: number, whole: number): number =>
  whole === 0 ? 100 : Number((BigInt(part) * 10_000n) / BigInt(whole)) / 100;

const byColumn = <Value>(of: (i: number) => Value): Record<string, Value> =>
  Object.fromEntries(targets.map(({ column }, i) => [column, of(i)]));

/** The cells of rows in scope. */
const cellsOf = (rows: readonly Row[]) =>
  rows.flatMap(({ key, cells, derived, createdAt }) =>
    cells.map((value, i) => ({ key, i, value, own: derived[i] ?? null, createdAt })),
  );
type Cell = ReturnType<typeof cellsOf>[number];

/** Figures and lists of cells of one column. */
function naiveColumn(cells: readonly Cell[], i: number, isUpTo: (cell: Cell) => boolean) {
  const mine = cells.filter((cell) => cell.i === i);
  const nulls = mine.filter(({ value }) => value === null);
  const derivable = nulls.filter(({ own }) => own !== null);
  const filled = mine.filter(({ value }) => value !== null);
  const dayAhead = BigInt(Date.now()) * 1000n + 86_400_000_000n;
  const valid = filled
    .map(({ value, createdAt }) => ({
      text: value,
      at: microseconds(value),
      isFallback: value === createdAt,
    }))
    .filter((time): time is { text: string; at: bigint; isFallback: boolean } => time.at !== undefined)
    .sort((a, b) => Number(a.at - b.at));
  return {
    name: targets[i]?.column ?? '',
    filled: filled.length,
    fillable: derivable.filter(isUpTo),
    waiting: derivable.filter((cell) => !isUpTo(cell)),
    withoutValue: nulls.filter(({ own }) => own === null),
    times: {
      // Of equal instants the first row's text: the sort is stable.
      min: valid[0]?.text ?? null,
      max: valid.find(({ at }) => at === valid.at(-1)?.at)?.text ?? null,
      valid: valid.length,
      withoutOffset: valid.filter(({ text }) => isNaive(text)).length,
      fromFallback: valid.filter(({ isFallback }) => isFallback).length,
    },
    invalid: filled.filter(({ value }) => microseconds(value) === undefined),
    future: filled.filter(({ value }) => (microseconds(value) ?? 0n) > dayAhead),
  };
}

/** Seconds between the two columns of each row that has both times. */
const lagsOf = (rows: readonly Row[]) =>
  rows.flatMap(({ key, cells: [from = null, to = null], createdAt }) => {
    const [start, end] = [microseconds(from), microseconds(to)];
    if (start === undefined || end === undefined) return [];
    const isMixed = isNaive(String(from)) !== isNaive(String(to));
    return [{ key, seconds: Number(end - start) / 1e6, isMixed, isFallback: from === createdAt }];
  });

function naiveLag(rows: readonly Row[]): object {
  const slowestFirst = lagsOf(rows).sort((a, b) => b.seconds - a.seconds);
  if (slowestFirst.length === 0) return {};
  const sorted = slowestFirst.map(({ seconds }) => seconds).reverse();
  const rank = (percentage: number) => sorted[Math.floor((percentage * sorted.length + 99) / 100) - 1];
  return {
    count: sorted.length,
    p50Seconds: rank(50),
    p95Seconds: rank(95),
    p99Seconds: rank(99),
    maxSeconds: rank(100),
    slowest: slowestFirst.slice(0, 10).map(({ key, seconds }) => ({ key, seconds })),
  };
}

const naiveGroups = (rows: readonly Row[]): object[] =>
  [...new Set(rows.map(({ group }) => group))].sort().map((group) => {
    const own = rows.filter((row) => row.group === group);
    const count = (i: number): number => own.filter((row) => row.cells[i] !== null).length;
    return {
      name: group,
      total: own.length,
      filled: byColumn(count),
      percent: byColumn((i) => share(count(i), own.length)),
    };
  });

const naiveNulls = (rows: readonly Row[]): { columns: string[]; rows: number }[] =>
  [
    [true, false],
    [false, true],
    [true, true],
  ]
    .map((isNull) => ({
      columns: targets.filter((_, i) => isNull[i]).map(({ column }) => column),
      rows: rows.filter(({ cells }) => isNull.every((is, i) => (cells[i] === null) === is)).length,
    }))
    .filter((found) => found.rows > 0);

/** Every figure of the eight checks, and the keys of every finding that has some, by filters over the rows. */
export function naive(rows: readonly Row[], { watermark, ours, skips, batches, recorded }: History) {
  const cells = cellsOf(rows);
  const isUpTo = ({ key }: Cell): boolean => BigInt(key) <= watermark;
  const isOurs = ({ key, i }: Cell): boolean => ours.has(`${key} ${i}`);
  const columns = targets.map((_, i) => naiveColumn(cells, i, isUpTo));
  const filled = cells.filter(({ value }) => value !== null);
  const wrong = filled.filter(({ value, own }) => value !== own);
  const [changed, written] = [wrong.filter(isOurs), wrong.filter((cell) => !isOurs(cell))];
  const backwards = lagsOf(rows).filter(({ seconds }) => seconds < 0);
  const mixed = lagsOf(rows).filter(({ isMixed }) => isMixed);
  const stats = {
    coverage: {
      rowsInScope: rows.length,
      columns: columns.map((column) => ({
        name: column.name,
        filled: column.filled,
        percent: share(column.filled, rows.length),
        fillable: column.fillable.length,
        waiting: column.waiting.length,
        refused: 0,
        withoutValue: column.withoutValue.length,
      })),
      skips,
    },
    consistency: {
      cellsFilled: filled.length,
      equal: filled.length - wrong.length,
      changedInRun: 0,
      changedMeanwhile: 0,
      changedSince: changed.length,
      declaredOtherwise: 0,
      underivable: 0,
      written: written.length,
    },
    groups: { column: 'event_type', groups: naiveGroups(rows) },
    'index-use': {
      indexes: (backfillStep.checks.indexes ?? []).map(({ index }) => ({ index, verdict: 'pass' })),
    },
    timestamps: {
      columns: columns.map(({ name, times, invalid, future }) => ({
        name,
        ...times,
        invalid: invalid.length,
        future: future.length,
      })),
      endBeforeStart: backwards.length,
      endBeforeFallback: backwards.filter(({ isFallback }) => isFallback).length,
      mixedOffsets: mixed.length,
    },
    nulls: { rows: naiveNulls(rows) },
    lag: naiveLag(rows),
    integrity: {
      batches,
      contradictions: 0,
      held: filled.filter((cell) => isUpTo(cell) && cell.value === cell.own).length,
      recorded,
    },
  };
  const found = [
    ...columns.flatMap(({ fillable, waiting, withoutValue }) => [fillable, waiting, withoutValue]),
    ...[changed, written],
    ...columns.flatMap(({ invalid, future }) => [invalid, future]),
    backwards,
    mixed,
  ];
  const samples = found
    .filter((list) => list.length > 0)
    .map((list) => list.slice(0, 10).map(({ key }) => key));
  return { stats, samples };
}

/** Applies both steps, and tells from the table alone what that has done: the history of what stands there now. */
export async function applyAndObserve(path: string) {
  const [before, skips] = [readRows(path), [...expectedSkips(path).values()].flat()];
  const [watermark = 0] = query<number>(path, 'SELECT max(audit_id) FROM task_audits');
  const { error } = await up(path);
  expect(error).to.equal(undefined);
  const ours = readRows(path).flatMap(({ key, cells }, n) =>
    cells.flatMap((value, i) => (value !== null && before[n]?.cells[i] === null ? [`${key} ${i}`] : [])),
  );
  const count = (kind: string) => skips.filter((skip) => skip.kind === kind).length;
  const reasons = { DOCUMENT_UNREADABLE: count('unreadable'), NO_USABLE_VALUE: count('no-value') };
  const found = before.flatMap(({ cells, derived }) =>
    cells.filter((value, i) => value !== null && value === derived[i]),
  );
  return {
    /** Greatest key when the run began. */
    watermark: BigInt(watermark),
    /** Cells that the backfill filled, as "key column-number". */
    ours: new Set(ours),
    skips: Object.fromEntries(Object.entries(reasons).filter(([, number]) => number > 0)),
    batches: Math.ceil(before.filter(({ cells }) => cells.includes(null)).length / 10),
    /** Cells that held their derived value up to the watermark before the run, and those that it filled. */
    recorded: found.length + ours.length,
  };
}
export type History = Awaited<ReturnType<typeof applyAndObserve>>;

/** What AgentOS does to a store after the backfill: some of everything that a check counts. */
export const life = `
  UPDATE task_audits SET source_event_ts = '2026-03-01 00:00:00' WHERE audit_id % 17 = 0;
  UPDATE task_audits SET supervisor_processed_at = 'soon' WHERE audit_id % 19 = 0;
  UPDATE task_audits SET supervisor_processed_at = iif(audit_id % 2, '2090-01-01T00:00:00Z', '2090-01-01 00:00:00')
    WHERE audit_id % 23 = 0;
  UPDATE task_audits SET supervisor_processed_at = '2020-01-01T00:00:00.000001-05:30' WHERE audit_id % 29 = 0;
  UPDATE task_audits SET supervisor_processed_at = '2020-01-01T05:30:00.000001Z' WHERE audit_id % 58 = 0;
  UPDATE task_audits SET source_event_ts = NULL WHERE audit_id % 31 = 0;
  UPDATE task_audits SET source_event_ts = NULL, supervisor_processed_at = NULL WHERE audit_id % 37 = 0;
  UPDATE task_audits SET payload = '{"source_ts":"2026-04-01 00:00:00"}' WHERE audit_id % 41 = 0;
  UPDATE task_audits SET event_type = 'TASK_CREATED' WHERE audit_id % 43 = 0;
  DELETE FROM task_audits WHERE audit_id % 13 = 0;`;
