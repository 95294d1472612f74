import { relative } from 'node:path';
import type { MigrateDownOptions, MigrateUpOptions, MigrationMeta } from 'umzug';
import { type StoreAddress, withServerHints } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import type { Project } from '../config.js';
import { BackfillError, rootBackfillError } from '../errors.js';
import type { Lang } from '../messages/lang.js';
import { msg } from '../messages/message.js';
import type { RunSettings } from '../option-table.js';
import { checkOptions, refuseUnknownOptions } from '../options.js';
import { DEFAULT_REPORT } from '../report/default-file.js';
import type { ReportResult } from '../report/report.js';
import { shellWord } from '../shell.js';
import type { TrustsCode } from '../steps/load.js';
import type { Verification } from '../verify/verify.js';
import type { PublicResult, RunResult } from './change.js';
import { storageAt } from './ledger-storage.js';
import type { MigratorOptions } from './options.js';
import { refuseDuplicateSqlite } from './other-sqlite.js';
import type { BackfillSkips, Status } from './status.js';
import { type MigrateOptions, metaOf, stepUmzugClass, type UmzugCommands } from './umzug.js';
import type { BackfillResult } from './up.js';

/** Checked options of a migrator. */
export interface MigratorParts {
  readonly settings: RunSettings;
  /** Loads the project, once. */
  readonly load: (trust?: TrustsCode) => Promise<Project>;
  /** Returns the address of the store. Called by each command, because its environment variable may change. */
  readonly address: () => StoreAddress;
}

/** Commands besides umzug's. Each rejects with a `BackfillError` if the store is refused. */
export interface MigratorCommands {
  /** Returns the status of the store and its steps. Reads only. */
  status(): Promise<Status>;
  /**
   * Verifies every backfill. Reads only. A failed check is not an error: see `verdict`.
   *
   * @param options `minCoverage`: minimum coverage in percent; less is a failed check. Default: none
   */
  verify(options?: { readonly minCoverage?: number }): Promise<readonly Verification[]>;
  /**
   * Runs applied backfills again for rows written since, or from the first key, and verifies them.
   *
   * @param name a backfill. Default: all
   * @param options `rescan`: whether to begin at the first key and retry skips. Default false
   */
  backfill(name?: string, options?: { readonly rescan?: boolean }): Promise<PublicResult<BackfillResult>>;
  /**
   * Returns the skipped rows and cells, with their reasons.
   *
   * @param name a backfill. Default: all
   */
  skips(name?: string): Promise<readonly BackfillSkips[]>;
  /**
   * Verifies, and writes an HTML report, even if a check fails: `error` is then `VERIFICATION_FAILED`.
   *
   * @param file path of the report, relative to the current folder. Default `umzug-backfill-report.html`
   * @param options `lang`: language of the report, `en` or `zh`. Default `en`
   */
  report(file?: string, options?: { readonly lang?: Lang }): Promise<ReportResult>;
}

/**
 * An Umzug whose migrations are the steps of a project. At runtime it is an `Umzug`; its type does not require umzug's, which require the types of
 * Node.
 */
export interface Migrator extends UmzugCommands, MigratorCommands {}

/**
 * Checks umzug's options of `up()` and `down()`, and returns them.
 *
 * @throws {BackfillError} `USAGE` for an unknown option, and for `rerun: 'ALLOW'`
 */
function checkSelection(options: MigrateUpOptions | MigrateDownOptions | MigrateOptions, what: string) {
  refuseUnknownOptions(options, ['to', 'step', 'migrations', 'rerun'], what, 'USAGE');
  const { to, step, migrations, rerun = 'THROW' } = options;
  if (rerun === 'THROW' || rerun === 'SKIP') return { to, step, migrations, rerun };
  throw new BackfillError(
    'USAGE',
    msg('Expected `rerun` in {what} to be THROW or SKIP, got `{value}`', { what, value: String(rerun) }),
    msg('A step is never applied twice; a backfill runs again with backfill(NAME, { rescan: true })'),
  );
}

/** Creates the Umzug of a project. A command loads its modules when it is called. */
export function migratorOf({ load, address, settings }: MigratorParts): Migrator {
  class ProjectMigrator extends stepUmzugClass() {
    override async up(how: MigrateUpOptions | MigrateOptions = {}): Promise<MigrationMeta[]> {
      const { up } = await import('./up.js');
      const { applied } = await this.#change((options) => up(options, checkSelection(how, 'up()')));
      return await metasOf(applied);
    }

    override async down(how: MigrateDownOptions | MigrateOptions = {}): Promise<MigrationMeta[]> {
      const { down } = await import('./down.js');
      const { reverted } = await this.#change((options) => down(options, checkSelection(how, 'down()')));
      return await metasOf(reverted);
    }

    override async pending(): Promise<MigrationMeta[]> {
      return await this.runCommand('pending', async () => {
        const applied = await this.#appliedNames();
        return (await load()).steps.filter(({ name }) => !applied.includes(name)).map(metaOf);
      });
    }

    override async executed(): Promise<MigrationMeta[]> {
      return await this.runCommand('executed', async () => await metasOf(await this.#appliedNames()));
    }

    override async create(): Promise<void> {
      throw new BackfillError(
        'USAGE',
        msg("umzug's create() writes functions, and a step of this package is a declaration"),
        msg('Write one: umzug-backfill create NAME --backfill'),
      );
    }

    override async runAsCLI(argv: string[] = process.argv.slice(2)): Promise<boolean> {
      const { runInProcess } = await import('../cli/main.js');
      const loadMigrator = async (trust: TrustsCode) => await this.#options(trust);
      const program = `node ${shellWord(relative(process.cwd(), process.argv[1] ?? ''))}`;
      const exitCode = await runInProcess(argv, { loadMigrator, program });
      process.exitCode = exitCode;
      return exitCode === 0;
    }

    async status(): Promise<Status> {
      const { status } = await import('./status.js');
      return await this.#run((options) => status(options));
    }

    async verify(how: { readonly minCoverage?: number } = {}): Promise<readonly Verification[]> {
      checkOptions(how, { minCoverage: COMMAND_OPTIONS.minCoverage }, 'verify()', 'USAGE');
      const { verify } = await import('./verify.js');
      return await this.#run((options) => verify(options, how));
    }

    async backfill(name?: string, how: { readonly rescan?: boolean } = {}) {
      checkOptions(how, { rescan: COMMAND_OPTIONS.rescan }, 'backfill()', 'USAGE');
      const { backfill } = await import('./up.js');
      return await this.#change((options) => backfill(options, { name, ...how }));
    }

    async skips(name?: string): Promise<readonly BackfillSkips[]> {
      const { skips } = await import('./status.js');
      return await this.#run((options) => skips(options, name));
    }

    async report(file = DEFAULT_REPORT, how: { readonly lang?: Lang } = {}): Promise<ReportResult> {
      checkOptions(how, { lang: COMMAND_OPTIONS.lang }, 'report()', 'USAGE');
      const { report } = await import('../report/report.js');
      return await this.#run((options) => report(options, file, how));
    }

    async #options(trust?: TrustsCode): Promise<MigratorOptions> {
      const store = address();
      if (!store.postgres) refuseDuplicateSqlite();
      return { ...settings, umzug: this, project: await load(trust), ...store };
    }

    async #run<Result>(act: (options: MigratorOptions) => Promise<Result>): Promise<Result> {
      const options = await this.#options();
      try {
        return await withServerHints(options, async () => await act(options));
      } catch (error) {
        throw this.rejectionOf(rootBackfillError(error));
      }
    }

    /** Runs a command that returns its error, because part of its work may be done, and throws that. */
    async #change<Result extends RunResult>(act: (options: MigratorOptions) => Promise<Result>) {
      const { publicResult } = await import('./change.js');
      return await this.#run(async (options) => publicResult(await act(options)));
    }

    async #appliedNames(): Promise<string[]> {
      const { inSnapshot } = await import('./session.js');
      const records = await this.#run(
        async (options) => await inSnapshot(options, async ({ ledger }) => await ledger.steps()),
      );
      return records.filter(({ status }) => status === 'applied').map(({ name }) => name);
    }
  }
  const metasOf = async (names: readonly string[]): Promise<MigrationMeta[]> => {
    const { steps } = await load();
    return names.map((name) => metaOf(steps.find((step) => step.name === name) ?? { name, path: '' }));
  };
  return new ProjectMigrator(
    async () => (await load()).steps,
    () => storageAt({ ...address(), confirmed: settings.confirmed }),
  );
}
