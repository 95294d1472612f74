import type { Project } from '../config.js';
import type { LockHolder, StoreConnector } from '../db/connection.js';
import type { PostgresAddress } from '../db/postgres/address.js';
import type { RunEvent, WarningEvent } from '../engine/run-options.js';
import type { ErrorCode } from '../errors.js';
import type { RunSettings } from '../option-table.js';
import type { WithWorkers } from '../run/runner.js';
import type { Backup } from '../safety/backup.js';
import type { StepRunner } from './umzug.js';

/** Progress of a command. */
export type MigratorEvent =
  | RunEvent
  | {
      readonly event: 'step_started' | 'step_finished';
      readonly step: string;
      readonly direction: 'up' | 'down';
    }
  | {
      readonly event: 'verified';
      readonly backfill: string;
      readonly verdict: string;
      /** Number of threads that read the rows. */
      readonly threads: number;
      readonly durationMs: number;
    }
  | {
      readonly event: 'lock_estimated';
      readonly step: string;
      /** Expected time with the write lock held, in milliseconds. */
      readonly lockMs: number;
      /** Disk space needed during that time, in bytes. */
      readonly diskBytes: number;
    }
  | ({ readonly event: 'backup_created' } & Backup)
  | { readonly event: 'backup_removed' | 'store_copied'; readonly path: string }
  /** The command waits for the run lock; its holder is unknown in the moment before it has signed the lock. */
  | ({ readonly event: 'lock_waiting' } & Partial<LockHolder>)
  | WarningEvent
  /** Background backfills ended with an error; `TERMINATED` if they were stopped. */
  | {
      readonly event: 'background_failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string;
    };

/** Options of every command. */
export interface MigratorOptions extends RunSettings {
  readonly project: Project;
  /** Path of the store; for PostgreSQL, the URL without its password. */
  readonly path: string;
  /** The database, if the store is in PostgreSQL. */
  readonly postgres?: PostgresAddress | undefined;
  /** Opens and locks the store. Default: created from `path` and `postgres`. */
  readonly connector?: StoreConnector | undefined;
  /** Lets other sessions of this process take part in a run. Default: none do. */
  readonly withWorkers?: WithWorkers | undefined;
  /** Whether warnings may contain messages of errors, which may quote rows. Default false. */
  readonly showValues?: boolean | undefined;
  /** Whether this process serves the command alone, so that no other code in it writes to the store. Default false. */
  readonly ownsProcess?: boolean | undefined;
  /** Clock of the ledger's timestamps. Default: the system's. */
  readonly now?: (() => Date) | undefined;
  /** Runs the steps of `up` and `down`. Default: an Umzug that is created if there is something to do. */
  readonly umzug?: StepRunner | undefined;
}
