import type { RunRecord } from '../ledger/records.js';
import type { RevertResult } from '../store/sqlite/revert.js';

/** Rows of a batch when nobody says otherwise. 1,000 to 10,000 measured equally fast. */
export const DEFAULT_BATCH_ROWS = 5000;

/**
 * What a run tells while it goes on. Between `batches_started` and `batches_ended` the event loop turns after each
 * batch, so that a signal can be heard; outside, a statement may keep it busy for long.
 */
export type RunEvent =
  | { readonly event: 'batches_started' | 'batches_ended'; readonly backfill: string }
  | {
      readonly event: 'run_started';
      readonly backfill: string;
      readonly run: number;
      readonly kind: RunRecord['kind'];
      readonly isResumed: boolean;
    }
  | {
      readonly event: 'batch_committed';
      readonly backfill: string;
      readonly batch: number;
      readonly rowsScanned: number;
      readonly cellsFilled: number;
      readonly cellsSkipped: number;
      readonly durationMs: number;
    }
  | {
      /** SQLite refused to update a row: it is recorded as a skip, with SQLite's result code as its reason. */
      readonly event: 'row_refused';
      readonly backfill: string;
      readonly key: string;
      readonly reason: string;
    }
  | { readonly event: 'store_busy'; readonly backfill: string; readonly pauseMs: number }
  | ({ readonly event: 'batch_reverted'; readonly backfill: string; readonly batch: number } & RevertResult);

/** How to run. */
export interface RunOptions {
  /** Rows of a batch at most. Default {@link DEFAULT_BATCH_ROWS}. */
  readonly batchRows?: number | undefined;
  /** Stops the run between two batches; its `reason` is the signal's name. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each commit. */
  readonly onEvent?: ((event: RunEvent) => void) | undefined;
}
