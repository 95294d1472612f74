import { createRequire } from 'node:module';
import { isAbsolute } from 'node:path';
import type { RunnableMigration, Umzug, UmzugStorage } from 'umzug';
import { type BackfillError, rootBackfillError } from '../errors.js';
import { inStep, type Step } from '../steps/step.js';

// The part of umzug's types that this package uses, so that a project can use them without umzug's, which require the types of Node. umzug
// accepts each in place of its type. Source: https://github.com/sequelize/umzug/blob/main/src/types.ts

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

/** Steps that a command applies or reverts. */
interface StepLoop {
  /** In the order in which they run. */
  readonly steps: readonly Step[];
  /** All steps that are known: those of the project, and those known only from the ledger. */
  readonly known: readonly Step[];
  /** The ledger, as umzug's storage. */
  readonly storage: UmzugStorage;
  /** Applies or reverts one of them. */
  readonly run: (step: Step) => Promise<void>;
}

/** Runs the steps of a command, one after another; rejects as the first that fails, before the next begins. */
export type RunSteps = (loop: StepLoop) => Promise<void>;

/** Runs commands whose steps are migrations. */
export interface StepRunner {
  /**
   * Runs a command.
   *
   * @param act callback; calls its argument once or not at all
   */
  command(direction: 'up' | 'down', act: (runSteps: RunSteps) => Promise<void>): Promise<void>;
}

/** Runs steps without an Umzug around them: for a step that another Umzug runs, and for commands without steps. */
export const withoutUmzug: StepRunner = {
  command: async (_direction, act) =>
    await act(async ({ steps, run }) => {
      for (const step of steps) await inStep(step, async () => await run(step));
    }),
};

/** An Umzug whose migrations are steps. */
interface StepUmzug extends Umzug<object>, StepRunner {
  /** Returns what a command rejects with: for an error of a step umzug's MigrationError, with its code and its hint; else the error. */
  rejectionOf(error: BackfillError): Error;
}

/** Returns umzug's name and path of a step; a step without a file has no path. */
export const metaOf = ({ name, path }: Pick<Step, 'name' | 'path'>): MigrationMeta =>
  isAbsolute(path) ? { name, path } : { name };

/** A command in progress. */
interface Command {
  readonly act: (runSteps: RunSteps) => Promise<void>;
  /** Options of umzug's own `up` or `down`; the names are added once the run lock is held, and umzug reads them after that. */
  readonly selection: { readonly migrations: string[]; readonly rerun: 'SKIP' };
  loop?: StepLoop;
}

/**
 * Returns the class of Umzugs whose migrations are steps. umzug is loaded by the first call instead of by this module, because every step
 * file imports this package, and umzug alone takes 150 ms.
 *
 * umzug selects, logs and runs the steps, and calls the listeners. What comes before the first step and after the last, such as the run
 * lock, surrounds umzug's loop in `runCommand`: listeners of one event run at the same time, and one that throws would skip the rest.
 */
export function stepUmzugClass(): new (
  load: () => Promise<readonly Step[]>,
  storage?: () => UmzugStorage,
) => StepUmzug {
  const umzug = createRequire(import.meta.url)('umzug') as typeof import('umzug');
  return class extends umzug.Umzug<object> implements StepRunner {
    /** Commands in progress, by umzug's context, which is a new object for each: one Umzug may run several at a time. */
    readonly #commands = new WeakMap<object, Command>();
    /** The command that is being passed to `runCommand`: umzug calls that before anything is awaited. */
    #next: Command | undefined;
    readonly #failures = new WeakMap<Error, Error>();

    /**
     * @param load returns the steps of the project
     * @param storage umzug's storage outside of a command. Default: none that lasts
     */
    constructor(load: () => Promise<readonly Step[]>, storage: () => UmzugStorage = umzug.memoryStorage) {
      const storageOf = (params: { readonly context?: unknown } | undefined): UmzugStorage =>
        this.#loopOf(params?.context)?.storage ?? storage();
      super({
        context: () => ({}),
        logger: undefined,
        migrations: async (context) =>
          (this.#loopOf(context)?.known ?? (await load())).map((step) => this.#migrationOf(step)),
        storage: {
          executed: async (params) => await storageOf(params).executed(params),
          logMigration: async (params) => await storageOf(params).logMigration(params),
          unlogMigration: async (params) => await storageOf(params).unlogMigration(params),
        },
      });
    }

    async command(direction: 'up' | 'down', act: Command['act']): Promise<void> {
      const selection: Command['selection'] = { migrations: [], rerun: 'SKIP' };
      this.#next = { act, selection };
      await (direction === 'up' ? super.up(selection) : super.down(selection));
    }

    rejectionOf(error: BackfillError): Error {
      const failure = this.#failures.get(error);
      return failure ? Object.assign(failure, { code: error.code, hint: error.hint }) : error;
    }

    protected override async runCommand<Result>(
      name: string,
      umzugsLoop: (params: { context: object }) => Promise<Result>,
    ): Promise<Result> {
      const command = this.#next;
      this.#next = undefined;
      if (!command) return await super.runCommand(name, umzugsLoop);
      return await super.runCommand(name, async (params) => {
        this.#commands.set(params.context, command);
        let ran: unknown = [];
        await command.act(async (loop) => {
          command.loop = loop;
          command.selection.migrations.push(...loop.steps.map((step) => step.name));
          try {
            ran = await umzugsLoop(params);
          } catch (error) {
            if (error instanceof umzug.MigrationError) this.#failures.set(rootBackfillError(error), error);
            throw error;
          }
        });
        return ran as Result;
      });
    }

    #loopOf(context: unknown): StepLoop | undefined {
      return typeof context === 'object' && context !== null ? this.#commands.get(context)?.loop : undefined;
    }

    /** Returns a step as a migration. If another Umzug calls it, it is a separate command. */
    #migrationOf(step: Step): RunnableMigration<object> {
      const run = (direction: 'up' | 'down') => async (params?: { readonly context?: unknown }) => {
        const loop = this.#loopOf(params?.context);
        try {
          if (loop) await inStep(step, async () => await loop.run(step));
          else await this[direction]({ migrations: [step.name], rerun: 'SKIP' });
        } catch (error) {
          throw rootBackfillError(error); // umzug quotes its message, and a database's may quote a row
        }
      };
      return { ...metaOf(step), up: run('up'), down: run('down') };
    }
  };
}
