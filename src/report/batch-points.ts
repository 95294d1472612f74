import type { BatchTime } from '../ledger/batches.js';

/** Some batches in a row, as one point of a chart. */
export interface BatchPoint {
  readonly firstBatch: number;
  readonly lastBatch: number;
  /** The run of the last of them. */
  readonly run: number;
  readonly rows: number;
  /** While a batch ran; pauses between two don't count. */
  readonly rowsPerSecond: number;
  readonly rowsPerBatch: number;
  /** When the last of them was committed. */
  readonly committedAt: string;
}

/** At most this many points. */
const MAX_POINTS = 120;

/**
 * Puts batches together, as many to a point that there are not too many points.
 *
 * @param total how many batches there are
 */
export async function batchPoints(batches: AsyncIterable<BatchTime[]>, total: number): Promise<BatchPoint[]> {
  const size = Math.max(1, Math.ceil(total / MAX_POINTS));
  const points: BatchPoint[] = [];
  let group: BatchTime[] = [];
  for await (const page of batches) {
    for (const batch of page) {
      group.push(batch);
      if (group.length < size) continue;
      points.push(pointOf(group));
      group = [];
    }
  }
  if (group.length > 0) points.push(pointOf(group));
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
