import { isAbsolute, relative } from 'node:path';
import type { MigrateDownOptions, MigrateUpOptions, MigrationMeta, Umzug } from 'umzug';
import type { StoreAddress } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import type { Project } from '../config.js';
import { BackfillError } from '../errors.js';
import type { SkipRecord, StepRecord } from '../ledger/records.js';
import type { Lang } from '../messages/lang.js';
import { msg } from '../messages/message.js';
import type { BackfillResult } from '../migrator/backfill.js';
import type { MigratorOptions } from '../migrator/session.js';
import type { Status } from '../migrator/status.js';
import type { RunSettings } from '../option-table.js';
import { checkOptions } from '../options.js';
import { DEFAULT_REPORT } from '../report/default-file.js';
import type { ReportResult } from '../report/report.js';
import { withServerHints } from '../server-hints.js';
import { shellWord } from '../shell.js';
import type { TrustsCode } from '../steps/load.js';
import type { Verification } from '../verify/verify.js';
import { refuseDuplicateSqlite } from './duplicate-sqlite.js';
import { downTarget, upTarget } from './targets.js';

/** What the commands of a migrator work with. */
export interface MigratorParts {
  readonly umzug: Umzug<object>;
  /** umzug's context: its listeners get it, no step does. */
  readonly context: object;
  readonly settings: RunSettings;
  /** Loads the project, once. */
  readonly load: (trust?: TrustsCode) => Promise<Project>;
  /** Where the store is now: its environment variable may change. */
  readonly address: () => StoreAddress;
}

/** umzug's name and path of a step; one that is given by name, or whose file is gone, has no path. */
export const metaOf = (name: string, path: string | undefined): MigrationMeta =>
  path === undefined || !isAbsolute(path) ? { name } : { name, path };

/** What a migrator can do that umzug does not know. Each rejects with a `BackfillError` when the store is refused. */
export interface MigratorCommands {
  /** Where the store and each step stand; reads only. */
  status(): Promise<Status>;
  /**
   * Verifies every backfill, reading only. A failed check is no error: see `verdict`.
   *
   * @param options `minCoverage`: coverage below this many percent fails. Default: it doesn't
   */
  verify(options?: { readonly minCoverage?: number }): Promise<readonly Verification[]>;
  /**
   * Runs applied backfills again: for rows written since, or from the first key on, trying skips again. Verifies them.
   *
   * @param name one backfill. Default: all
   * @param options `rescan`: whether to begin at the first key. Default false
   */
  backfill(name?: string, options?: { readonly rescan?: boolean }): Promise<Omit<BackfillResult, 'error'>>;
  /**
   * Rows and cells that were left alone, with their reasons.
   *
   * @param name one backfill. Default: all
   */
  skips(name?: string): Promise<readonly BackfillSkips[]>;
  /**
   * Verifies, and writes an HTML report, also when a check fails: its `error` is then `VERIFICATION_FAILED`.
   *
   * @param file where to, relative to the current folder. Default `umzug-backfill-report.html`
   * @param options `lang`: its language, `en` or `zh`. Default `en`
   */
  report(file?: string, options?: { readonly lang?: Lang }): Promise<ReportResult>;
}

/** What a backfill has left alone, by key. */
export interface BackfillSkips {
  readonly backfill: string;
  readonly skips: readonly SkipRecord[];
}

/** The options of a command, with the listeners of the Umzug told. */
async function migratorOptions(
  { umzug, context, settings, load, address }: MigratorParts,
  trust: TrustsCode = {},
) {
  const store = address();
  if (!store.postgres) refuseDuplicateSqlite();
  const project = await load(trust);
  const onUmzugEvent: MigratorOptions['onUmzugEvent'] = async (event, name) => {
    const file = project.steps.find((step) => step.name === name)?.path;
    await umzug.emit(event, { ...metaOf(name, file), context });
  };
  return { ...settings, onUmzugEvent, project, ...store } satisfies MigratorOptions;
}

/** Runs a command that umzug does not know. */
async function withOptions<Result>(
  parts: MigratorParts,
  act: (options: MigratorOptions) => Promise<Result>,
): Promise<Result> {
  const options = await migratorOptions(parts);
  return await withServerHints(options, () => act(options));
}

/** Runs one of umzug's own commands between the events that umzug has around it. */
async function run(
  parts: MigratorParts,
  command: string,
  act: (options: MigratorOptions) => Promise<readonly string[]>,
): Promise<MigrationMeta[]> {
  const { umzug, context } = parts;
  await umzug.emit('beforeCommand', { command, context });
  try {
    const options = await migratorOptions(parts);
    const { steps } = options.project;
    return (await withServerHints(options, () => act(options))).map((name) =>
      metaOf(name, steps.find((step) => step.name === name)?.path),
    );
  } finally {
    await umzug.emit('afterCommand', { command, context });
  }
}

async function stepRecords(options: MigratorOptions): Promise<StepRecord[]> {
  const { inSnapshot } = await import('../migrator/session.js');
  return await inSnapshot(options, async ({ ledger }) => await ledger.steps());
}

/** umzug's own commands, through the whole flow of this package. Their modules are loaded when they are called. */
export const umzugCommands = (parts: MigratorParts) => ({
  up: (how: MigrateUpOptions = {}): Promise<MigrationMeta[]> =>
    run(parts, 'up', async (options) => {
      const target = await upTarget(how, () => stepRecords(options));
      const { up } = await import('../migrator/up.js');
      const { applied, error } = await up(options, target);
      if (error) throw error;
      return applied;
    }),
  down: (how: MigrateDownOptions = {}): Promise<MigrationMeta[]> =>
    run(parts, 'down', async (options) => {
      const target = await downTarget(how, () => stepRecords(options));
      const { down } = await import('../migrator/down.js');
      const { reverted, error } = await down(options, target);
      if (error) throw error;
      return reverted;
    }),
  pending: (): Promise<MigrationMeta[]> =>
    run(parts, 'pending', async (options) => {
      const applied = await appliedNames(options);
      return options.project.steps.map(({ name }) => name).filter((name) => !applied.includes(name));
    }),
  executed: (): Promise<MigrationMeta[]> => run(parts, 'executed', appliedNames),
  async create(): Promise<void> {
    throw new BackfillError(
      'USAGE',
      msg("umzug's create() writes functions, and a step of this package is a declaration"),
      msg('Write one: umzug-backfill create NAME --backfill'),
    );
  },
  async runAsCLI(argv: string[] = process.argv.slice(2)): Promise<boolean> {
    const { runInProcess } = await import('../cli/process.js');
    const loadMigrator = async (trust: TrustsCode) => await migratorOptions(parts, trust);
    const program = `node ${shellWord(relative(process.cwd(), process.argv[1] ?? ''))}`;
    const exitCode = await runInProcess(argv, { loadMigrator, program });
    process.exitCode = exitCode;
    return exitCode === 0;
  },
});

async function appliedNames(options: MigratorOptions): Promise<string[]> {
  const records = await stepRecords(options);
  return records.filter(({ status }) => status === 'applied').map(({ name }) => name);
}

/** The commands that umzug does not know. */
export const extraCommands = (parts: MigratorParts): MigratorCommands => ({
  async status() {
    const { status } = await import('../migrator/status.js');
    return await withOptions(parts, (options) => status(options));
  },
  async verify(options = {}) {
    checkOptions(options, { minCoverage: COMMAND_OPTIONS.minCoverage }, 'verify()', 'USAGE');
    const { verify } = await import('../migrator/verify.js');
    return await withOptions(parts, (migrator) => verify(migrator, options));
  },
  async backfill(name, options = {}) {
    checkOptions(options, { rescan: COMMAND_OPTIONS.rescan }, 'backfill()', 'USAGE');
    const { backfill } = await import('../migrator/backfill.js');
    return await withOptions(parts, async (migrator) => {
      const { error, ...outcome } = await backfill(migrator, { name, ...options });
      if (error) throw error;
      return outcome;
    });
  },
  async skips(name) {
    const { skips } = await import('../migrator/status.js');
    return await withOptions(parts, (options) => skips(options, name));
  },
  async report(file = DEFAULT_REPORT, options = {}) {
    checkOptions(options, { lang: COMMAND_OPTIONS.lang }, 'report()', 'USAGE');
    const { report } = await import('../report/report.js');
    return await withOptions(parts, (migrator) => report(migrator, file, options));
  },
});
