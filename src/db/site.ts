import type { StopSignal } from '../stop.js';
import type { Connection } from './connection.js';
import type { LockOptions, LockState } from './lock-holder.js';

/** How to open a store. */
export interface OpenOptions {
  /** `look`: nothing is written, no sidecar left behind. `write`: the store will be changed. */
  readonly access: 'look' | 'write';
  /** How long a statement waits for another writer, in milliseconds. Default 5,000 to look, 15,000 to write. */
  readonly busyWaitMs?: number;
  /** Whether a person has agreed that others may make objects where a server looks for names, and own its tables. Default false. */
  readonly isConfirmed?: boolean | undefined;
  /** Stops whoever reads for long. On PostgreSQL the site has it. */
  readonly signal?: StopSignal | undefined;
  /** Tables that the project is about: who owns one may own the ledger. Default: none. */
  readonly tables?: readonly string[];
}

/** A run lock that is held. */
export interface HeldLock {
  /** Lets the next run begin. */
  release(): Promise<void>;
}

/** How to wait for the run lock of a store. */
export interface SiteLockOptions extends LockOptions {
  /**
   * Takes part in the run of whoever holds the lock, where that lets others do so; called with a share of the lock.
   *
   * @returns whether there was anything to do
   */
  readonly join?: (() => Promise<boolean>) | undefined;
  /** Whether it must wait until no command that shares its work has begun and not ended. Where no run is shared, each does so. Default false. */
  readonly isAlone?: boolean | undefined;
}

/** Where a store is: what can be done before it is open, and around it. */
export interface StoreSite {
  /** What a person knows it by. */
  readonly name: string;
  /** Acts with one connection to wherever the store is, for all that is opened and locked meanwhile. */
  within<Result>(act: () => Promise<Result>): Promise<Result>;
  /** Opens it; throws a `STORE_…` code. */
  open(options: OpenOptions): Promise<Connection>;
  /** Takes its run lock, waiting for another run to end; throws `RUN_LOCKED`, `LOCK_UNUSABLE`, a `STORE_…` code. */
  lock(options: SiteLockOptions): Promise<HeldLock>;
  /** Looks whether a run is under way, and holds nothing. */
  lookAtLock(): Promise<LockState>;
  /** What a person should know of the place, a sentence each. */
  warnings(): string[];
}
