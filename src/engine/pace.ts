/**
 * How large a batch is and how long the pause before it, by what was measured of those before. Pure: a series of
 * timings goes in, sizes and pauses come out.
 *
 * A writer that finds the store locked sleeps 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50 and then 100 ms between its tries:
 * a pause that is shorter than the sleep it is in may be missed. So the pause goes by how long the lock was held before it.
 *
 * @see https://github.com/sqlite/sqlite/blob/master/src/main.c sqliteDefaultBusyCallback
 */

/** `courteous`: pauses for other writers; `full`: none. */
export type PaceMode = 'courteous' | 'full';

/** What a pace goes by. */
export interface PaceSettings {
  readonly name: PaceMode;
  /** Rows of a batch at most. */
  readonly maxRows: number;
  /** How long a batch should hold its locks, in milliseconds. */
  readonly targetBatchMs: number;
  /** What others are kept from: the one lock of a file, or the processors and disks of a server. */
  readonly bottleneck: Bottleneck;
}

/** What a batch is in the way of. */
export type Bottleneck = 'lock' | 'load';

/** Whether others write to the store: none lately, now and then, or all the time. */
type Contention = 'none' | 'low' | 'high';

/** The pace of the next batch. */
export interface PaceState {
  /** Rows that it takes at most. */
  readonly rows: number;
  /** Pause before it, in milliseconds; 0 for none. */
  readonly pauseMs: number;
  readonly contention: Contention;
  /** How long the lock was held since the last pause, in milliseconds. */
  readonly heldMs: number;
  /** Pauses in a row in which others wrote; negative: in which none did. */
  readonly streak: number;
}

/** What was measured of a batch. */
export interface BatchTiming {
  readonly rows: number;
  /** How long it held the write lock, in milliseconds. */
  readonly lockMs: number;
  /** Whether another connection has committed since the batch before. */
  readonly hasContention: boolean;
}

/** Rows of the first batch: of a store on a slow disk nothing is known yet. */
const INITIAL_ROWS = 1000;

/** Rows below which a batch never falls: what a transaction costs by itself would outweigh them. */
const MIN_ROWS = 100;

/** A batch grows by this factor at most; it shrinks at once. */
const MAX_GROWTH = 2;

interface DutyCycle {
  readonly workMs: number;
  readonly pauseMs: number;
}

/**
 * How long the lock is held between two pauses, in milliseconds, and how long a pause is. Of the one lock of a file:
 * - none: 25 of 525 ms, so that courtesy costs a run that is alone less than 5%;
 * - low: a writer that waits for 80 ms tries every 25;
 * - high: a writer that waits for 8 ms tries again at 18, and at 33 after a batch that took longer.
 *
 * On a server others are not kept waiting, but slowed down: a run that is alone goes on, and one among many takes a quarter of the time.
 */
const DUTY_CYCLES: Readonly<Record<Bottleneck, Readonly<Record<Contention, DutyCycle>>>> = {
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
};

/** Pauses in a row with others at work that make them busy, and without that make them fewer again. */
const [TO_HIGH, TO_LOW, TO_NONE] = [3, -4, -20] as const;

/** The pace of a run's first batch: others are taken to be there until two pauses have shown nobody. */
export function initialPace({ maxRows }: PaceSettings): PaceState {
  return {
    rows: Math.min(maxRows, INITIAL_ROWS),
    pauseMs: 0,
    contention: 'low',
    heldMs: 0,
    streak: TO_NONE + 2,
  };
}

/** The pace of the batch behind one that was done at `pace` and took `timing`. */
export function nextPace(pace: PaceState, timing: BatchTiming, settings: PaceSettings): PaceState {
  const isFull = settings.name === 'full';
  const { contention, streak } = isFull
    ? { contention: 'none' as const, streak: 0 }
    : nextContention(pace, timing);
  const cycle = DUTY_CYCLES[settings.bottleneck][contention];
  const targetMs = isFull ? settings.targetBatchMs : Math.min(settings.targetBatchMs, cycle.workMs);
  const rows = fitRows(targetMs, pace.rows, timing, settings.maxRows);
  const heldMs = (pace.pauseMs > 0 ? 0 : pace.heldMs) + timing.lockMs;
  // A pause is due when one more batch would hold the lock for longer than its cycle allows.
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
