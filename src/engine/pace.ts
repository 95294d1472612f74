import { RUN_OPTIONS } from '../option-table.js';
import type { Backfill } from '../steps/define.js';

/**
 * Computes the size of the next batch and the pause before it from the timings of earlier batches. Pure: timings in, sizes and
 * pauses out.
 *
 * A writer that finds a file locked sleeps between its attempts, and can miss a pause shorter than its current sleep. Pauses
 * therefore depend on how long the lock was held before them.
 */

/**
 * Returns the default maximum of rows per batch. On a server, COMMIT and ledger take as long as some thousand narrow rows. Rows of a
 * `process` are in memory together.
 */
export const defaultBatchRows = (bottleneck: Bottleneck, { process }: Pick<Backfill, 'process'>): number =>
  bottleneck === 'load' && !process ? SERVER_BATCH_ROWS : RUN_OPTIONS.batchRows.default;

/** Maximum rows per batch on a server, unless the duration ends it sooner. */
const SERVER_BATCH_ROWS = 50_000;

/** Settings of a pace. */
export interface PaceSettings {
  /** `courteous` pauses for other writers; `full` never pauses. */
  readonly name: 'courteous' | 'full';
  /** Maximum rows per batch. */
  readonly maxRows: number;
  /** Target lock time per batch, in milliseconds. */
  readonly targetBatchMs: number;
  readonly bottleneck: Bottleneck;
}

/** The resource that a batch makes other clients wait for: a file's write lock, or a server's CPU and disks. */
type Bottleneck = keyof typeof DUTY_CYCLES;

/** Write activity of other clients: none lately, now and then, constant. */
type Contention = keyof (typeof DUTY_CYCLES)[Bottleneck];

/** The pace of the next batch. */
export interface PaceState {
  /** Maximum rows. */
  readonly rows: number;
  /** Pause before it, in milliseconds; 0 for none. */
  readonly pauseMs: number;
  readonly contention: Contention;
  /** Lock time since the last pause, in milliseconds. */
  readonly heldMs: number;
  /** Consecutive pauses with contention; negative: without. */
  readonly streak: number;
}

/** Measurements of a batch. */
export interface BatchTiming {
  readonly rows: number;
  /** Time that it held the write lock, in milliseconds. */
  readonly lockMs: number;
  /** Whether another connection has committed since the previous batch. */
  readonly hasContention: boolean;
  /** Whether another process has the store open; undefined if that is unknown. */
  readonly isOpenElsewhere?: boolean | undefined;
}

/** Rows of the first batch; low because the disk may be slow. */
const INITIAL_ROWS = 1000;

/** Minimum batch size: below it, transaction overhead dominates. */
const MIN_ROWS = 100;

/** Maximum growth per batch; shrinking is not limited. */
const MAX_GROWTH = 2;

/**
 * Sleeps of SQLite's busy handler between two attempts, in milliseconds. The last one repeats.
 *
 * @see https://github.com/sqlite/sqlite/blob/master/src/main.c sqliteDefaultBusyCallback
 */
const BUSY_SLEEPS = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100] as const;

/** Factor by which a pause exceeds a sleep, because sleeps end late. */
const MARGIN = 1.05;

/** Returns the shortest pause that a single waiting writer cannot miss after a file was locked for `heldMs` milliseconds. */
export function unmissablePauseMs(heldMs: number): number {
  let [startsAt, longest] = [0, 0];
  for (const sleepMs of BUSY_SLEEPS) {
    if (startsAt > heldMs) break;
    longest = sleepMs;
    startsAt += sleepMs;
  }
  return Math.ceil(longest * MARGIN);
}

/**
 * Lock time between two pauses and length of the pause, in milliseconds. For a file's lock, without a length: the shortest that no
 * writer can miss.
 * - none: 105 of 2,205 ms, so an uncontended run loses less than 5%. Not if another process is known to have the store open
 * - low: a writer that has waited for up to 128 ms sleeps 25 ms, and thus waits no longer
 * - high: a writer that has waited for up to 18 ms sleeps 10 ms, and tries again within 15 ms of a batch that took twice as long
 *
 * A server's clients are slowed down, not blocked: an uncontended run hardly pauses, one under high contention works a quarter of
 * the time.
 */
const DUTY_CYCLES: Readonly<
  Record<
    'lock' | 'load',
    Record<'none' | 'low' | 'high', { readonly workMs: number; readonly pauseMs?: number }>
  >
> = {
  lock: {
    none: { workMs: 2100 },
    low: { workMs: 110 },
    high: { workMs: 17 },
  },
  load: {
    none: { workMs: 1000, pauseMs: 10 },
    low: { workMs: 80, pauseMs: 120 },
    high: { workMs: 60, pauseMs: 180 },
  },
};

/** Consecutive pauses with contention that raise it to high; without, that lower it to low and to none. */
const [TO_HIGH, TO_LOW, TO_NONE] = [3, -4, -20] as const;

/** Returns the pace of the first batch. Assumes low contention until two pauses have shown none. */
export function initialPace({ maxRows }: PaceSettings): PaceState {
  const rows = Math.min(maxRows, INITIAL_ROWS);
  return { rows, pauseMs: 0, contention: 'low', heldMs: 0, streak: TO_NONE + 2 };
}

/** Returns the pace of the batch after one that ran at `pace` and took `timing`. */
export function nextPace(pace: PaceState, timing: BatchTiming, settings: PaceSettings): PaceState {
  const { targetBatchMs, maxRows, bottleneck } = settings;
  const heldMs = (pace.pauseMs > 0 ? 0 : pace.heldMs) + timing.lockMs;
  const rowsIn = (targetMs: number): number => fitRows(targetMs, pace.rows, timing, maxRows);
  // A process that opens the store later waits until that is noticed, and then for a pause.
  if (settings.name === 'full' || timing.isOpenElsewhere === false)
    return { rows: rowsIn(targetBatchMs), pauseMs: 0, contention: 'low', heldMs, streak: 0 };
  const { contention, streak } = nextContention(pace, timing);
  const { workMs, pauseMs = unmissablePauseMs(heldMs) } = DUTY_CYCLES[bottleneck][contention];
  const targetMs = Math.min(targetBatchMs, workMs);
  const leftMs = workMs - heldMs;
  // The next batch would exceed the lock time of the cycle by more than half of a batch.
  if (leftMs < targetMs / 2) return { rows: rowsIn(targetMs), pauseMs, contention, heldMs, streak };
  const batches = Math.max(1, Math.round(leftMs / targetMs));
  return { rows: rowsIn(leftMs / batches), pauseMs: 0, contention, heldMs, streak };
}

function nextContention(
  { contention, streak, pauseMs }: PaceState,
  { hasContention, isOpenElsewhere }: BatchTiming,
): { contention: Contention; streak: number } {
  if (contention === 'none' && (hasContention || isOpenElsewhere)) return { contention: 'low', streak: 0 };
  if (pauseMs === 0) return { contention, streak };
  const next = hasContention ? Math.max(0, streak) + 1 : Math.min(0, streak) - 1;
  if (contention === 'low' && next >= TO_HIGH) return { contention: 'high', streak: 0 };
  if (contention === 'low' && next <= TO_NONE && !isOpenElsewhere) return { contention: 'none', streak: 0 };
  if (contention === 'high' && next <= TO_LOW) return { contention: 'low', streak: 0 };
  return { contention, streak: next };
}

function fitRows(targetMs: number, allowed: number, { rows, lockMs }: BatchTiming, maxRows: number): number {
  const fitting = lockMs > 0 && rows > 0 ? Math.floor((rows * targetMs) / lockMs) : maxRows;
  return Math.max(Math.min(MIN_ROWS, maxRows), Math.min(fitting, allowed * MAX_GROWTH, maxRows));
}
