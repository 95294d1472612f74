import type { LockHolder } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import type { RunRecord } from '../ledger/records.js';
import { english, type Message, msg, withTexts } from '../messages/message.js';
import type { RunSettings } from '../option-table.js';
import type { RevertResult } from './batch.js';

/**
 * Refuses several workers for a file, which has one writer at a time.
 *
 * @param option name of the setting, for the message
 * @throws {BackfillError} `USAGE`
 */
export function refuseWorkers(workers: number | undefined, isServer: boolean, option = '`workers`'): void {
  if (workers === undefined || isServer) return;
  throw new BackfillError(
    'USAGE',
    msg('{option} is for a PostgreSQL database', { option }),
    msg('Remove it: one process at a time writes to a file; --concurrency is for several files'),
  );
}

/** Rows in scope that already have a value. Only NULLs are filled. */
export interface ValuesLeft {
  /** Rows with a value in at least one of the columns. */
  readonly rows: number;
  /** Number of values by column. */
  readonly cells: Readonly<Record<string, number>>;
}

/** A warning, in one English sentence. */
export interface WarningEvent {
  readonly event: 'warning';
  readonly text: string;
  /** The text as data, for other languages. Not enumerable; absent if the event comes from another thread or process. */
  readonly texts?: { readonly text: Message } | undefined;
}

/** Returns the event of a warning. */
export const warning = (text: Message): WarningEvent =>
  withTexts({ event: 'warning' as const, text: english(text) }, { text });

/**
 * Progress of a run. Between `batches_started` and `batches_finished` the event loop turns after each batch, so signals are
 * handled; outside, a statement may block it for long.
 */
export type RunEvent = WarningEvent | ({ readonly backfill: string } & BackfillEvent);

type BackfillEvent =
  | { readonly event: 'batches_started' | 'batches_finished' }
  | {
      readonly event: 'run_started';
      readonly run: number;
      readonly kind: RunRecord['kind'];
      readonly isResumed: boolean;
      /** Key after which it starts, and its last key; null if there is none. */
      readonly cursor: string | null;
      readonly watermark: string | null;
    }
  /** Rows in scope of a first run already have a value. Only NULLs are filled. */
  | ({ readonly event: 'values_left' } & ValuesLeft)
  /** A first run found cells to fill, and filled none of them. */
  | {
      readonly event: 'nothing_filled';
      readonly cells: number;
      /** Number of skipped rows and cells by reason. */
      readonly skips: Readonly<Record<string, number>>;
    }
  | {
      readonly event: 'batch_committed';
      readonly batch: number;
      readonly firstKey: string;
      readonly lastKey: string;
      readonly rowsScanned: number;
      readonly cellsFilled: number;
      readonly cellsSkipped: number;
      readonly durationMs: number;
    }
  | {
      /** A row, or one column of it, was skipped; follows `batch_committed`. */
      readonly event: 'row_skipped';
      readonly key: string;
      /** The column, or `*` for the whole row. */
      readonly target: string;
      readonly reason: string;
    }
  | {
      /** The store rejected the update of a row. It is recorded as a skip, with SQLite's result code or an SQLSTATE as its reason. */
      readonly event: 'row_rejected';
      readonly key: string;
      readonly reason: string;
    }
  /**
   * The run waits for other workers that have claimed the rest of it or still work on it. If another process is known to hold a
   * claim, its name and since when.
   */
  | ({ readonly event: 'range_waiting' } & Partial<LockHolder>)
  /** A pause for other writers before the next batch. */
  | { readonly event: 'throttled'; readonly pauseMs: number }
  | { readonly event: 'store_busy'; readonly pauseMs: number }
  /** A reader keeps the WAL from restarting, and it has reached its limit: the run waits. */
  | { readonly event: 'wal_pinned'; readonly walBytes: number }
  | ({ readonly event: 'batch_reverted'; readonly batch: number } & RevertResult);

/** Options of a run, without those of the command around it. */
export interface RunOptions
  extends Omit<RunSettings, 'backup' | 'lockTimeoutMs' | 'allowTriggers' | 'strict' | 'onEvent'> {
  /** Whether warnings may contain messages of errors, which may quote rows. Default false. */
  readonly showValues?: boolean | undefined;
  /** Whether this process serves the command alone, so that no other code in it writes to the store. Default false. */
  readonly ownsProcess?: boolean | undefined;
  /** Called after each commit. */
  readonly onEvent?: ((event: RunEvent) => void) | undefined;
}
