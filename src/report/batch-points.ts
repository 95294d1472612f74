import type { BatchTime } from '../ledger/batches.js';

/** Consecutive batches, as one point of a chart. */
export interface BatchPoint {
  readonly firstBatch: number;
  readonly lastBatch: number;
  /** Run of the last batch. */
  readonly run: number;
  readonly rows: number;
  /** While a batch ran; pauses between batches do not count. */
  readonly rowsPerSecond: number;
  readonly rowsPerBatch: number;
  /** Commit time of the last batch. */
  readonly committedAt: string;
}

/** Maximum number of points. */
const MAX_POINTS = 120;

/** Merges batches into up to {@link MAX_POINTS} points. */
export function batchPoints(batches: readonly BatchTime[]): BatchPoint[] {
  const size = Math.max(1, Math.ceil(batches.length / MAX_POINTS));
  const points: BatchPoint[] = [];
  for (let i = 0; i < batches.length; i += size) points.push(pointOf(batches.slice(i, i + size)));
  return points;
}

function pointOf(group: readonly BatchTime[]): BatchPoint {
  const [first, last] = [group[0] as BatchTime, group.at(-1) as BatchTime];
  const sum = (of: (batch: BatchTime) => number): number =>
    group.reduce((total, batch) => total + of(batch), 0);
  const rows = sum(({ rowsScanned }) => rowsScanned);
  const durationMs = sum((batch) => batch.durationMs);
  return {
    firstBatch: first.number,
    lastBatch: last.number,
    run: last.run,
    rows,
    rowsPerSecond: durationMs > 0 ? Math.round((rows * 1000) / durationMs) : 0,
    rowsPerBatch: Math.round(rows / group.length),
    committedAt: last.committedAt,
  };
}
