import type { Key } from '../ledger/keys.js';
import type { MigratorEvent } from './options.js';

/** Progress of a loop of batches. */
export interface Progress {
  readonly backfill: string;
  readonly direction: 'up' | 'down';
  /** Rows that this process has read; for `down`, cells reverted. */
  readonly rows: number;
  /** Position of the key between the first and the last, 0 to 100; for `down`, of the batch. Uneven if the keys are. */
  readonly percent: number;
  readonly rowsPerSecond: number;
  /** Estimated from the speed so far; undefined before the first batch. */
  readonly etaSeconds: number | undefined;
  /** Rows in the last batch. */
  readonly batchRows: number;
  /** Cells skipped so far. */
  readonly skippedCells: number;
}

/** Computes the progress of the current loop of batches from its events. */
export class ProgressTracker {
  readonly #now: () => number;
  #loop: Loop | undefined;

  /** @param now clock, in milliseconds. Default: a monotonic one */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Processes an event and returns the progress after a batch, or undefined after another event. */
  onEvent(event: MigratorEvent): Progress | undefined {
    switch (event.event) {
      case 'run_started':
        this.#loop = this.#begin(event.backfill, 'up', keyOrNone(event.cursor), keyOrNone(event.watermark));
        return undefined;
      case 'batch_committed': {
        const loop = this.#loop;
        if (!loop) return undefined;
        loop.from ??= keyOf(event.firstKey);
        loop.skippedCells += event.cellsSkipped;
        return this.#step(loop, keyOf(event.lastKey), event.rowsScanned);
      }
      case 'batch_reverted': {
        this.#loop ??= this.#begin(event.backfill, 'down', BigInt(-event.batch - 1), -1n);
        return this.#step(this.#loop, BigInt(-event.batch), event.reverted);
      }
      case 'batches_finished':
        this.#loop = undefined;
        return undefined;
      default:
        return undefined;
    }
  }

  #begin(backfill: string, direction: 'up' | 'down', from: Key | undefined, to: Key | undefined): Loop {
    return { backfill, direction, from, to, startedAt: this.#now(), done: 0, rows: 0, skippedCells: 0 };
  }

  #step(loop: Loop, at: Key, rows: number): Progress {
    loop.rows += rows;
    const seconds = (this.#now() - loop.startedAt) / 1000;
    loop.done = Math.max(loop.done, fractionOfKeys(loop.from, loop.to, at)); // one worker may be slower than another
    const { done } = loop;
    return {
      backfill: loop.backfill,
      direction: loop.direction,
      rows: loop.rows,
      percent: percentOf(done),
      rowsPerSecond: seconds > 0 ? Math.round(loop.rows / seconds) : 0,
      etaSeconds: done > 0 ? Math.ceil((seconds / done) * (1 - done)) : undefined,
      batchRows: rows,
      skippedCells: loop.skippedCells,
    };
  }
}

interface Loop {
  readonly backfill: string;
  readonly direction: 'up' | 'down';
  /** Key after which the loop began, or its first key. */
  from: Key | undefined;
  readonly to: Key | undefined;
  readonly startedAt: number;
  /** Completed fraction, 0 to 1. */
  done: number;
  rows: number;
  skippedCells: number;
}

/** Parses a key of an event, in which integers are texts. */
const keyOf = (text: string): Key => (/^-?\d+$/.test(text) ? BigInt(text) : text);

const keyOrNone = (text: string | null): Key | undefined => (text === null ? undefined : keyOf(text));

/** Returns the position of `at` between `from` and `to`, 0 to 1; 1 if there are no keys. */
export function fractionOfKeys(from: Key | undefined, to: Key | undefined, at: Key): number {
  if (from === undefined || to === undefined) return 1;
  const [first, last, here] = positions(from, to, at);
  return last > first ? Math.min(1, Math.max(0, (here - first) / (last - first))) : 1;
}

/** Maps keys to numbers: texts by the six bytes after their common prefix. */
function positions(from: Key, to: Key, at: Key): readonly [from: number, to: number, at: number] {
  if (typeof from === 'bigint' && typeof to === 'bigint' && typeof at === 'bigint')
    return [0, Number(to - from), Number(at - from)];
  const [a, b, c] = [from, to, at].map((key) => Buffer.from(String(key))) as [Buffer, Buffer, Buffer];
  let same = 0;
  while (same < a.length && a[same] === b[same]) same += 1;
  const value = (key: Buffer): number =>
    Buffer.concat([key.subarray(same), Buffer.alloc(6)]).readUIntBE(0, 6);
  return [value(a), value(b), value(c)];
}

/** Converts a fraction to percent, rounded down to tenths, so that 100 means all. */
export const percentOf = (share: number): number => Math.floor(share * 1000) / 10;
