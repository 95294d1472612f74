import type { RunSettings } from '../option-table.js';
import type { BackfillDefinition } from '../steps/define.js';
import { sqliteBeside } from './other-sqlite.js';

/** `up` or `down` of a backfillStep(). */
export interface StepCall {
  readonly call: 'up' | 'down';
  readonly path: string;
  readonly name: string;
  readonly backfill: BackfillDefinition;
  /** Path of the module whose default export is the backfill, if it was given. */
  readonly file: string | undefined;
  readonly settings: Omit<RunSettings, 'signal' | 'onEvent'>;
}

/** A call that reads or writes the ledger. */
export type LedgerCall =
  | { readonly call: 'executed'; readonly path: string; readonly direction: 'up' | 'down' }
  | { readonly call: 'logMigration' | 'unlogMigration'; readonly path: string; readonly name: string }
  | {
      readonly call: 'importExecuted';
      readonly path: string;
      /** Names to import, or the table that has them. */
      readonly from: readonly string[] | { readonly table: string; readonly column?: string };
      readonly dryRun: boolean;
    };

/** The abort signal and the listener of a call. */
export type Listening = Pick<RunSettings, 'signal' | 'onEvent'>;

/**
 * Runs `act`, or, if this process has loaded another copy of SQLite, the same call in a child process.
 *
 * @param call the call, as data except for the functions of a backfill; undefined for a store on a server
 * @throws {BackfillError} `SQLITE_LOADED_TWICE` if it cannot run in one, `WORKER_LOST` if the child was killed, and the errors of the call
 * @see https://www.sqlite.org/howtocorrupt.html section 2.2.1
 */
export async function besideOtherSqlite<Result>(
  call: StepCall | LedgerCall | undefined,
  act: () => Promise<Result>,
  how: Listening = {},
): Promise<Result> {
  const other = call && sqliteBeside();
  if (call === undefined || other === undefined) return await act();
  const { callInChild } = await import('./child-call.js');
  return (await callInChild(other, call, how)) as Result;
}
