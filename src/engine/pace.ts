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
export type PaceName = 'courteous' | 'full';

/** What a pace goes by. */
export interface PaceSettings {
  readonly name: PaceName;
  /** Rows of a batch at most. */
  readonly maxRows: number;
  /** How long a batch should hold its locks, in milliseconds. */
  readonly targetBatchMs: number;
  /** What others are kept from: the one lock of a file, or the processors and disks of a server. */
  readonly rhythm: RhythmName;
}

/** What a batch is in the way of. */
export type RhythmName = 'lock' | 'load';

/** Whether others write to the store: none lately, now and then, or all the time. */
type Company = 'none' | 'some' | 'busy';

/** The pace of the next batch. */
export interface Pace {
  /** Rows that it takes at most. */
  readonly rows: number;
  /** Pause before it, in milliseconds; 0 for none. */
  readonly pauseMs: number;
  readonly company: Company;
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
  readonly hasCompany: boolean;
}

/** Rows of the first batch: of a store on a slow disk nothing is known yet. */
const FIRST_ROWS = 1000;

/** Rows below which a batch never falls: what a transaction costs by itself would outweigh them. */
const LEAST_ROWS = 100;

/** A batch grows by this factor at most; it shrinks at once. */
const GROWTH = 2;

interface Beat {
  readonly heldMs: number;
  readonly pauseMs: number;
}

/**
 * How long the lock is held between two pauses, in milliseconds, and how long a pause is. Of the one lock of a file:
 * - none: 25 of 525 ms, so that courtesy costs a run that is alone less than 5%;
 * - some: a writer that waits for 80 ms tries every 25;
 * - busy: a writer that waits for 8 ms tries again at 18, and at 33 after a batch that took longer.
 *
 * On a server others are not kept waiting, but slowed down: a run that is alone goes on, and one among many takes a quarter of the time.
 */
const RHYTHM: Readonly<Record<RhythmName, Readonly<Record<Company, Beat>>>> = {
  lock: {
    none: { heldMs: 500, pauseMs: 25 },
    some: { heldMs: 80, pauseMs: 25 },
    busy: { heldMs: 8, pauseMs: 15 },
  },
  load: {
    none: { heldMs: 1000, pauseMs: 10 },
    some: { heldMs: 80, pauseMs: 120 },
    busy: { heldMs: 60, pauseMs: 180 },
  },
};

/** Pauses in a row with others at work that make them busy, and without that make them fewer again. */
const [TO_BUSY, TO_SOME, TO_NONE] = [3, -4, -20] as const;

/** The pace of a run's first batch: others are taken to be there until two pauses have shown nobody. */
export function firstPace({ maxRows }: PaceSettings): Pace {
  return { rows: Math.min(maxRows, FIRST_ROWS), pauseMs: 0, company: 'some', heldMs: 0, streak: TO_NONE + 2 };
}

/** The pace of the batch behind one that was done at `pace` and took `timing`. */
export function nextPace(pace: Pace, timing: BatchTiming, settings: PaceSettings): Pace {
  const isFull = settings.name === 'full';
  const { company, streak } = isFull ? { company: 'none' as const, streak: 0 } : companyBehind(pace, timing);
  const rhythm = RHYTHM[settings.rhythm][company];
  const targetMs = isFull ? settings.targetBatchMs : Math.min(settings.targetBatchMs, rhythm.heldMs);
  const rows = rowsFor(targetMs, pace.rows, timing, settings.maxRows);
  const heldMs = (pace.pauseMs > 0 ? 0 : pace.heldMs) + timing.lockMs;
  // A pause is due when one more batch would hold the lock for longer than the rhythm allows.
  const isDue = !isFull && heldMs + targetMs > rhythm.heldMs;
  return { rows, pauseMs: isDue ? rhythm.pauseMs : 0, company, heldMs, streak };
}

function companyBehind(
  { company, streak, pauseMs }: Pace,
  { hasCompany }: BatchTiming,
): { company: Company; streak: number } {
  if (pauseMs === 0)
    return company === 'none' && hasCompany ? { company: 'some', streak: 0 } : { company, streak };
  const next = hasCompany ? Math.max(0, streak) + 1 : Math.min(0, streak) - 1;
  if (company === 'none' && hasCompany) return { company: 'some', streak: next };
  if (company === 'some' && next >= TO_BUSY) return { company: 'busy', streak: 0 };
  if (company === 'some' && next <= TO_NONE) return { company: 'none', streak: 0 };
  if (company === 'busy' && next <= TO_SOME) return { company: 'some', streak: 0 };
  return { company, streak: next };
}

function rowsFor(targetMs: number, allowed: number, { rows, lockMs }: BatchTiming, maxRows: number): number {
  const fitting = lockMs > 0 && rows > 0 ? Math.floor((rows * targetMs) / lockMs) : maxRows;
  return Math.max(Math.min(LEAST_ROWS, maxRows), Math.min(fitting, allowed * GROWTH, maxRows));
}
