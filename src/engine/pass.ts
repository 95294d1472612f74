import type { Transaction } from '../db/connection.js';
import type { KeyRange } from './dialect.js';

/** A pass over the rows of a table: what one thread makes of ranges of keys, and how it is put together with what another makes. */
export interface Pass<Found> {
  /** Reads these ranges in this thread. */
  over(tx: Transaction, ranges: Iterable<KeyRange>): Promise<Found>;
  /** How another thread does the same; undefined where it can't be handed over. */
  readonly elsewhere: PassElsewhere | undefined;
  /** Adds what another thread has found of other ranges; returns whether one thread would have found just that. */
  merge(into: Found, from: Found): boolean;
}

/** How another thread makes a pass: plain data. */
export interface PassElsewhere {
  /** URL of a module that exports a {@link PassMaker} as `makePass`. */
  readonly module: string;
  readonly data: unknown;
}

/** Makes a pass in another thread, and says what of the result can be handed over without being copied. */
export type PassMaker = (
  tx: Transaction,
  data: unknown,
  ranges: Iterable<KeyRange>,
) => Promise<{ readonly found: unknown; readonly transfer: readonly ArrayBuffer[] }>;

/** What is done behind a pass, on its snapshot. */
export type BehindPass<Found, Result> = (tx: Transaction, found: Found, threads: 1 | 2) => Promise<Result>;
