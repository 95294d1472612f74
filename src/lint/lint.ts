import { readFileSync } from 'node:fs';
import { basename, extname, relative, resolve } from 'node:path';
import { locateStore } from '../db/path.js';
import { libraryVersion } from '../db/sqlite/connection.js';
import { flatMapEach } from '../each.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { BackfillError } from '../errors.js';
import { english, msg, withTexts } from '../messages/message.js';
import type { Step } from '../steps/step.js';
import { BAD_DISABLE, disablesIn, filesOf } from './disables.js';
import { type LintHit, type LintRule, parseStep, type RuleContext, storeFacts } from './parsed-step.js';
import { dataChangeInSqlStep, indexOnLargeTable, tableRebuild } from './rules/locks.js';
import { newerSqlite } from './rules/newer-sqlite.js';
import {
  blockingIndex,
  blockingRewrite,
  cascade,
  concurrentlyInStep,
  explicitLock,
  scanUnderLock,
  typeChange,
  volatileDefault,
} from './rules/postgres.js';
import { conditionalCreate, downMissing, notReversible } from './rules/reversibility.js';
import {
  dropTableCascade,
  notNullWithoutDefault,
  refusedDefault,
  renameInUse,
  stringType,
  uniqueIndexOnRows,
} from './rules/schema-changes.js';

/** Rules of each engine, in the order of their findings. docs/lint.md has a section for each. */
const SQLITE_RULES: readonly LintRule[] = [
  tableRebuild,
  indexOnLargeTable,
  dataChangeInSqlStep,
  notNullWithoutDefault,
  refusedDefault,
  uniqueIndexOnRows,
  downMissing,
  notReversible,
  conditionalCreate,
  dropTableCascade,
  renameInUse,
  stringType,
  newerSqlite,
];
const POSTGRES_RULES: readonly LintRule[] = [
  ...[blockingRewrite, blockingIndex, concurrentlyInStep, typeChange, volatileDefault, scanUnderLock],
  ...[explicitLock, dataChangeInSqlStep, notNullWithoutDefault, uniqueIndexOnRows],
  ...[downMissing, notReversible, conditionalCreate, cascade, renameInUse],
];
const NAMES = [...SQLITE_RULES, ...POSTGRES_RULES].map(({ name }) => name);

/** Options of {@link lint}. */
export interface LintOptions {
  /** Steps to check, by name or by path of their file. Default, also if empty: all. */
  readonly only?: readonly string[];
  /** Whether the steps are for PostgreSQL. Default false: for SQLite. */
  readonly postgres?: boolean | undefined;
  /** Path of a store whose sizes are taken into account. Default: none. */
  readonly path?: string | undefined;
  /** Oldest SQLite that must run the steps, such as `3.35`. Default: that of this process. */
  readonly sqlite?: string | undefined;
  /** Folder that paths are relative to. Default: the current one. */
  readonly folder?: string;
}

/** One unsafe part of a step. */
export interface Finding {
  readonly step: string;
  /** File to fix, relative to the folder. */
  readonly file: string;
  readonly rule: string;
  /** The problem, in English. */
  readonly message: string;
  /** The alternative, in English. */
  readonly suggestion: string;
  /** Both as data, for other languages. Not enumerable. */
  readonly texts: Pick<LintHit, 'message' | 'suggestion'>;
  /** The unsafe statement; null if the finding concerns the step or its file. */
  readonly statement: string | null;
}

/** Result of {@link lint}. */
export interface LintResult {
  /** Names of the checked steps, in order. */
  readonly steps: readonly string[];
  /** Findings by step, then by rule. */
  readonly findings: readonly Finding[];
}

/** Returns the step with its files. */
const withFiles = (step: Step) => ({ step, files: filesOf(step.path) });

type StepWithFiles = ReturnType<typeof withFiles>;

/**
 * Finds unsafe parts of migration steps: long locks, lost data, statements that fail if a table has rows.
 *
 * @param steps all steps of a project
 * @throws {BackfillError} `STEP_UNKNOWN` if `only` names an unknown step; `USAGE` if an option is not for the engine; a `STORE_…` code if the
 * store cannot be read
 */
export async function lint(steps: readonly Step[], options: LintOptions = {}): Promise<LintResult> {
  const { only = [], postgres = false, path, sqlite = libraryVersion(), folder = process.cwd() } = options;
  if (postgres) refuseOther(options);
  const engine = postgres ? 'PostgreSQL' : 'SQLite';
  const all = steps.map(withFiles);
  const wanted = only.map((name) => findStep(all, name, folder));
  const chosen = only.length === 0 ? all : all.filter((one) => wanted.includes(one));
  const lintAll = async (context: RuleContext): Promise<LintResult> => ({
    steps: chosen.map(({ step }) => step.name),
    findings: await flatMapEach(chosen, async (one) => await findingsOf(one, context, folder)),
  });
  if (path === undefined) return await lintAll({ engine, sqlite, store: undefined });
  const store = openSqlite(locateStore(path), { access: 'read' });
  try {
    return await store.snapshot(async (tx) => await lintAll({ engine, sqlite, store: storeFacts(tx) }));
  } finally {
    await store.close();
  }
}

/** Refuses options that are for SQLite. */
function refuseOther({ path, sqlite }: LintOptions): void {
  if (path === undefined && sqlite === undefined) return;
  throw new BackfillError(
    'USAGE',
    msg('{option} is for steps on SQLite', { option: path === undefined ? 'sqlite' : 'path' }),
    msg('Remove it, or `postgres`'),
  );
}

/** Returns the step with this name or file. */
function findStep(all: readonly StepWithFiles[], given: string, folder: string): StepWithFiles {
  const path = resolve(folder, given);
  const found =
    all.find(({ files }) => files.all.includes(path)) ??
    all.find(({ step }) => step.name === given || step.name === basename(given, extname(given)));
  if (found) return found;
  throw new BackfillError(
    'STEP_UNKNOWN',
    msg('There is no step named {name}', { name: given }),
    all.length > 0
      ? msg('The project has: {names}', { names: all.map(({ step }) => step.name) })
      : msg('The project has none'),
  );
}

async function findingsOf(
  { step, files }: StepWithFiles,
  context: RuleContext,
  folder: string,
): Promise<Finding[]> {
  const texts = files.all.map((path) => readFileSync(path, 'utf8'));
  const { rules: silent, bad } = disablesIn(texts, NAMES);
  const rules = context.engine === 'SQLite' ? SQLITE_RULES : POSTGRES_RULES;
  const file = relative(folder, files.file);
  const asFinding =
    (rule: string) =>
    ({ message, suggestion, statement }: LintHit): Finding =>
      withTexts(
        {
          step: step.name,
          file,
          rule,
          message: english(message),
          suggestion: english(suggestion),
          statement: statement?.sql ?? null,
        },
        { message, suggestion },
      );
  const linted = parseStep(step);
  const found = await flatMapEach(
    rules.filter(({ name }) => !silent.has(name)),
    async ({ name, check }) => (await check(linted, context)).map(asFinding(name)),
  );
  return [...bad.map(asFinding(BAD_DISABLE)), ...found];
}
