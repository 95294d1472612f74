/**
 * Computes the size of the next batch and the pause before it from the timings of earlier batches. Pure: timings in, sizes and
 * pauses out.
 *
 * A writer that finds the store locked sleeps 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, then 100 ms between attempts, and can miss a
 * pause shorter than its current sleep. Pauses therefore depend on how long the lock was held before them.
 *
 * @see https://github.com/sqlite/sqlite/blob/master/src/main.c sqliteDefaultBusyCallback
 */

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
}

/** Rows of the first batch; low because the disk may be slow. */
const INITIAL_ROWS = 1000;

/** Minimum batch size: below it, transaction overhead dominates. */
const MIN_ROWS = 100;

/** Maximum growth per batch; shrinking is not limited. */
const MAX_GROWTH = 2;

/**
 * Lock time between two pauses and length of the pause, in milliseconds. For a file's lock:
 * - none: 25 of 525 ms, so an uncontended run loses less than 5%
 * - low: a writer that has waited 80 ms retries every 25 ms
 * - high: a writer that has waited 8 ms retries at 18 ms, and at 33 ms if the batch took longer
 *
 * A server's clients are slowed down, not blocked: an uncontended run hardly pauses, one under high contention works a quarter of
 * the time.
 */
const DUTY_CYCLES = {
  lock: {
    none: { workMs: 500, pauseMs: 25 },
    low: { workMs: 80, pauseMs: 25 },
    high: { workMs: 8, pauseMs: 15 },
  },
  load: {
    none: { workMs: 1000, pauseMs: 10 },
    low: { workMs: 80, pauseMs: 120 },
    high: { workMs: 60, pauseMs: 180 },
  },
} as const;

/** Consecutive pauses with contention that raise it to high; without, that lower it to low and to none. */
const [TO_HIGH, TO_LOW, TO_NONE] = [3, -4, -20] as const;

/** Returns the pace of the first batch. Assumes low contention until two pauses have shown none. */
export function initialPace({ maxRows }: PaceSettings): PaceState {
  const rows = Math.min(maxRows, INITIAL_ROWS);
  return { rows, pauseMs: 0, contention: 'low', heldMs: 0, streak: TO_NONE + 2 };
}

/** Returns the pace of the batch after one that ran at `pace` and took `timing`. */
export function nextPace(pace: PaceState, timing: BatchTiming, settings: PaceSettings): PaceState {
  const isFull = settings.name === 'full';
  const { contention, streak } = isFull
    ? { contention: 'none' as const, streak: 0 }
    : nextContention(pace, timing);
  const cycle = DUTY_CYCLES[settings.bottleneck][contention];
  const targetMs = isFull ? settings.targetBatchMs : Math.min(settings.targetBatchMs, cycle.workMs);
  const rows = fitRows(targetMs, pace.rows, timing, settings.maxRows);
  const heldMs = (pace.pauseMs > 0 ? 0 : pace.heldMs) + timing.lockMs;
  // Pause if one more batch would exceed the lock time of the cycle.
  const isDue = !isFull && heldMs + targetMs > cycle.workMs;
  return { rows, pauseMs: isDue ? cycle.pauseMs : 0, contention, heldMs, streak };
}

function nextContention(
  { contention, streak, pauseMs }: PaceState,
  { hasContention }: BatchTiming,
): { contention: Contention; streak: number } {
  if (pauseMs === 0)
    return contention === 'none' && hasContention ? { contention: 'low', streak: 0 } : { contention, streak };
  const next = hasContention ? Math.max(0, streak) + 1 : Math.min(0, streak) - 1;
  if (contention === 'none' && hasContention) return { contention: 'low', streak: next };
  if (contention === 'low' && next >= TO_HIGH) return { contention: 'high', streak: 0 };
  if (contention === 'low' && next <= TO_NONE) return { contention: 'none', streak: 0 };
  if (contention === 'high' && next <= TO_LOW) return { contention: 'low', streak: 0 };
  return { contention, streak: next };
}

function fitRows(targetMs: number, allowed: number, { rows, lockMs }: BatchTiming, maxRows: number): number {
  const fitting = lockMs > 0 && rows > 0 ? Math.floor((rows * targetMs) / lockMs) : maxRows;
  return Math.max(Math.min(MIN_ROWS, maxRows), Math.min(fitting, allowed * MAX_GROWTH, maxRows));
}
