import { main } from '../../src/cli/main.js';
import type { BackfillError, BackfillResult, Status, Verification } from '../../src/index.js';
import { defineConfig, type StoreRequirements } from '../../src/index.js';
import { type Context, cleanEnv, collector, root } from './cli.js';

// The commands of a project whose steps are declared in the test, through the command line's `main()` and its JSON.

type Embedding = NonNullable<Context['embedding']>;

/** What a command may be told beside its arguments: the options of createMigrator()'s runs, and a clock. */
export type MigratorOptions = Awaited<ReturnType<Embedding['loadMigrator']>>;
export type Project = MigratorOptions['project'];
export type Step = Project['steps'][number];
export type MigratorEvent = Parameters<NonNullable<MigratorOptions['onEvent']>>[0];

/** What a test may set of a command's options. */
export type Extra = Partial<Omit<MigratorOptions, 'path' | 'project'>>;

/** A step's definition, without its name. */
export type Definition<Kind extends Step = Step> = Kind extends Step ? Omit<Kind, 'name' | 'path'> : never;

/** Gives a definition the name that its file would. */
export const named = <Kind extends Definition>(name: string, definition: Kind) => ({
  ...definition,
  name,
  path: `${name}.ts`,
});

/** A project of these steps, which need no files. */
export const projectOf = (steps: readonly Step[], requires: StoreRequirements = {}): Project => ({
  config: defineConfig({ database: { path: 'store.db' }, steps: ['steps'], requires }),
  steps,
});

/** What leads a command to its store. */
export type Address = Pick<MigratorOptions, 'path' | 'postgres'>;

/** What `up`, `down` and `backfill` say that they did; `error` ended them after they had begun. */
export type Outcome = Omit<BackfillResult, 'ran'>;
type Did = 'applied' | 'caughtUp' | 'recreated' | 'deferred' | 'joined';
export type UpOutcome = Outcome &
  Readonly<Record<Did, readonly string[]>> & {
    readonly valuesLeft: readonly { readonly backfill: string }[];
  };
export interface DownOutcome extends Outcome {
  readonly reverted: readonly string[];
  readonly cells: readonly ({ readonly backfill: string } & Readonly<
    Record<'reverted' | 'kept' | 'gone' | 'underivable', number>
  >)[];
}

/** What a backfill has left alone. In JSON a bigint is a string. */
export interface BackfillSkips {
  readonly backfill: string;
  readonly skips: readonly { readonly key: string; readonly target: string; readonly reason: string }[];
}

/** What a dry run says. */
// biome-ignore lint/suspicious/noExplicitAny: each test says by its assertions what shape it expects
export type PlanJson = any;

/** Which steps. */
export interface Target {
  readonly to?: string | 0;
  readonly step?: number;
}

const option = (name: string, value: unknown): string[] => (value === undefined ? [] : [name, String(value)]);
const targetArgs = ({ to, step }: Target): string[] => [...option('--to', to), ...option('--step', step)];

/**
 * Runs a command of a project and reads its JSON, with the error that ended it as the object that was thrown; one before the command
 * had anything to tell is thrown here.
 */
export async function run<Result>(
  project: Project,
  { path, postgres }: Address,
  args: readonly string[],
  extra: Extra = {},
): Promise<Result> {
  let error: BackfillError | undefined;
  const [stdout, stderr] = [collector(), collector()];
  const target = postgres ? ['--database-url', postgres.url] : ['--db-path', path];
  await main([...args, '--json', '--log-level', 'silent', ...target], {
    env: cleanEnv('/nonexistent', { CI: 'test' }),
    folder: root,
    stdout,
    stderr,
    ...(extra.now ? { now: extra.now } : {}),
    onError: (told) => {
      error = told;
    },
    embedding: {
      program: 'umzug-backfill',
      loadMigrator: async () => ({ batchRows: 10, pace: 'full', ...extra, project, path }),
    },
  });
  // Hints name the store, which each test has another of.
  const result = JSON.parse(stdout.text.replaceAll(` ${target.join(' ')}`, '')) as object;
  if (error && !('command' in result)) throw error;
  return { ...result, ...(error ? { error } : {}) } as Result;
}

/** The commands of a project on one store. Batches have ten rows, without pauses, unless `extra` says otherwise. */
export const commandsOf = (project: Project, address: Address, usual: Extra = {}) => {
  const call = <Result>(args: readonly string[], extra: Extra = {}): Promise<Result> =>
    run<Result>(project, address, args, { ...usual, ...extra });
  return {
    up: (target: Target = {}, extra?: Extra) => call<UpOutcome>(['up', ...targetArgs(target)], extra),
    deploy: (args: readonly string[] = [], extra?: Extra) => call<UpOutcome>(['deploy', ...args], extra),
    down: (target: Target = {}, extra?: Extra) => call<DownOutcome>(['down', ...targetArgs(target)], extra),
    backfill: (extra?: Extra) => call<BackfillResult>(['backfill'], extra),
    rescan: (name: string, extra?: Extra) => call<BackfillResult>(['backfill', name, '--rescan'], extra),
    /** What a dry run of these words says. */
    plan: (args: readonly string[], extra?: Extra) => call<PlanJson>([...args, '--dry-run'], extra),
    /** Verifies without recording anything; a failed check is no error here. */
    verify: async (minCoverage?: number, extra?: Extra) =>
      (
        await call<{ readonly verifications: readonly Verification[] }>(
          ['verify', ...option('--min-coverage', minCoverage)],
          extra,
        )
      ).verifications,
    status: (extra?: Extra) => call<Status>(['status'], extra),
    skips: async (name?: string, extra?: Extra) =>
      (
        await call<{ readonly backfills: readonly BackfillSkips[] }>(
          ['skips', ...(name ? [name] : [])],
          extra,
        )
      ).backfills,
  };
};
