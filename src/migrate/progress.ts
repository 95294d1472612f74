import type { Key } from '../ledger/keys.js';
import type { MigratorEvent } from './options.js';

/** How far a loop of batches is. */
export interface Progress {
  readonly backfill: string;
  readonly direction: 'up' | 'down';
  /** Rows read so far, by this process; of a `down` cells taken back. */
  readonly rows: number;
  /** How far the key has come, 0 to 100; of a `down` the batches. Keys that lie unevenly make it run unevenly. */
  readonly percent: number;
  readonly rowsPerSecond: number;
  /** Expected by the speed so far; undefined before there is one. */
  readonly etaSeconds: number | undefined;
  /** Rows of the last batch. */
  readonly batchRows: number;
  /** Cells left alone so far. */
  readonly skippedCells: number;
}

/** Follows events, and tells how far the loop of batches under way is. */
export class ProgressTracker {
  readonly #now: () => number;
  #loop: Loop | undefined;

  /** @param now a clock, in milliseconds. Default: one that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes an event; returns where the loop is after a batch, undefined after anything else. */
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
    loop.done = Math.max(loop.done, fractionOfKeys(loop.from, loop.to, at)); // of several workers one may be behind another
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
  /** Key behind which it began, or its first. */
  from: Key | undefined;
  readonly to: Key | undefined;
  readonly startedAt: number;
  /** How far it has come, 0 to 1. */
  done: number;
  rows: number;
  skippedCells: number;
}

/** A key of an event, in which integers are texts as well. */
const keyOf = (text: string): Key => (/^-?\d+$/.test(text) ? BigInt(text) : text);

const keyOrNone = (text: string | null): Key | undefined => (text === null ? undefined : keyOf(text));

/** Which part of the keys between `from` and `to` `at` has come to, 0 to 1; all where there are none. */
export function fractionOfKeys(from: Key | undefined, to: Key | undefined, at: Key): number {
  if (from === undefined || to === undefined) return 1;
  const [first, last, here] = positions(from, to, at);
  return last > first ? Math.min(1, Math.max(0, (here - first) / (last - first))) : 1;
}

/** Where keys lie, as numbers: of texts by the six bytes that follow on what all of them begin with. */
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

/** A share in percent, rounded down to tenths so that 100 means all. */
export const percentOf = (share: number): number => Math.floor(share * 1000) / 10;
