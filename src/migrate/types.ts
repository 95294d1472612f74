/**
 * The part of umzug's types that this package uses, so that a project can use them without umzug's, which require the types of Node. umzug
 * accepts each in place of its type.
 *
 * @see https://github.com/sequelize/umzug/blob/main/src/types.ts
 */

/** Name and path of a migration. */
export interface MigrationMeta {
  readonly name: string;
  /** Absent if it has no file. */
  readonly path?: string;
}

/** A migration: umzug's `RunnableMigration`. */
export interface RunnableStep {
  readonly name: string;
  up(params?: unknown): Promise<void>;
  down(params?: unknown): Promise<void>;
}

/** A storage of the names of executed migrations: umzug's `UmzugStorage`. */
export interface MigrationStorage {
  logMigration(migration: { readonly name: string; readonly context?: unknown }): Promise<void>;
  unlogMigration(migration: { readonly name: string; readonly context?: unknown }): Promise<void>;
  executed(params?: { readonly context: unknown }): Promise<string[]>;
}

/** umzug's options of `up()` and `down()`: up to one of `to`, `step` and `migrations`. */
export interface MigrateOptions {
  /** Name of the last step to apply or revert; for `down()`, `0` reverts all. */
  readonly to?: string | 0 | undefined;
  /** Number of steps. */
  readonly step?: number | undefined;
  /** Names of the steps, in the order in which they run. */
  readonly migrations?: readonly string[] | undefined;
  /** Treatment of a name in `migrations` that is applied or reverted already. Default `THROW`. */
  readonly rerun?: 'THROW' | 'SKIP' | undefined;
}

/** Events around a step. */
export type StepEvent = 'migrating' | 'migrated' | 'reverting' | 'reverted';
/** Events around a command. */
export type CommandEvent = 'beforeCommand' | 'afterCommand';

/** An emitter of the events around commands. */
export interface UmzugEvents {
  on(event: CommandEvent, listener: (command: { readonly command: string }) => void): unknown;
}

/** Commands and events of every Umzug. */
export interface UmzugCommands {
  /** Applies pending steps. Without any, it still catches up and verifies applied backfills. */
  up(options?: MigrateOptions): Promise<MigrationMeta[]>;
  /** Reverts the last step, or more. */
  down(options?: MigrateOptions): Promise<MigrationMeta[]>;
  /** Returns the steps that are not applied, in order. */
  pending(): Promise<MigrationMeta[]>;
  /** Returns the steps that are applied, in order. */
  executed(): Promise<MigrationMeta[]>;
  /** Calls the listener with each step and awaits it. Returns a function that removes the listener. */
  on(event: StepEvent, listener: (step: MigrationMeta) => unknown): () => void;
  /** Calls the listener around each command and awaits it. Returns a function that removes the listener. */
  on(event: CommandEvent, listener: (command: { readonly command: string }) => unknown): () => void;
  /**
   * Runs this package's command line.
   *
   * @param argv arguments. Default: those of the process
   * @returns whether the exit code is 0; the exit code of the process is set
   */
  runAsCLI(argv?: string[]): Promise<boolean>;
}
