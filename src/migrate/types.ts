/**
 * What of umzug's types this package's own speak of: written here, so that a project can use them without umzug's, which need
 * types of Node. umzug takes each where it wants its own.
 *
 * @see https://github.com/sequelize/umzug/blob/main/src/types.ts
 */

/** A migration, as umzug tells of it. */
export interface MigrationMeta {
  readonly name: string;
  /** Absent where it has no file. */
  readonly path?: string;
}

/** A migration for umzug's list: its `RunnableMigration`. */
export interface RunnableStep {
  readonly name: string;
  up(params?: unknown): Promise<void>;
  down(params?: unknown): Promise<void>;
}

/** Where umzug keeps the names of executed migrations: its `UmzugStorage`. */
export interface MigrationStorage {
  logMigration(migration: { readonly name: string; readonly context?: unknown }): Promise<void>;
  unlogMigration(migration: { readonly name: string; readonly context?: unknown }): Promise<void>;
  executed(params?: { readonly context: unknown }): Promise<string[]>;
}

/** umzug's options of `up()` and `down()`: one of `to`, `step` and `migrations`. */
export interface MigrateOptions {
  /** Name of the last step to apply, or to revert; `0`, of `down()`: all. */
  readonly to?: string | 0 | undefined;
  /** How many steps. */
  readonly step?: number | undefined;
  /** Names of the steps. */
  readonly migrations?: readonly string[] | undefined;
  /** What to do with a name in `migrations` that is done already. Default `THROW`. */
  readonly rerun?: 'THROW' | 'SKIP' | undefined;
}

/** Events of umzug around a step, and around a command. */
export type StepEvent = 'migrating' | 'migrated' | 'reverting' | 'reverted';
/** As {@link StepEvent}, around a command. */
export type CommandEvent = 'beforeCommand' | 'afterCommand';

/** Events of an Umzug around its commands. */
export interface UmzugEvents {
  on(event: CommandEvent, listener: (command: { readonly command: string }) => void): unknown;
}

/** What a migrator shares with every Umzug. */
export interface UmzugCommands {
  /** Applies pending steps; without any it still catches up rows that wait, and verifies. */
  up(options?: MigrateOptions): Promise<MigrationMeta[]>;
  /** Reverts the last step, or more. */
  down(options?: MigrateOptions): Promise<MigrationMeta[]>;
  /** The steps that are not applied, in order. */
  pending(): Promise<MigrationMeta[]>;
  /** The steps that are applied, in order. */
  executed(): Promise<MigrationMeta[]>;
  /** Calls the listener with each step; it is waited for. Returns what takes it away again. */
  on(event: StepEvent, listener: (step: MigrationMeta) => unknown): () => void;
  /** Calls the listener around each command; it is waited for. Returns what takes it away again. */
  on(event: CommandEvent, listener: (command: { readonly command: string }) => unknown): () => void;
  /**
   * Runs this package's command line.
   *
   * @param argv its arguments. Default: those of the process
   * @returns whether it ended with exit code 0; the process's exit code is set
   */
  runAsCLI(argv?: string[]): Promise<boolean>;
}
