import { readFileSync } from 'node:fs';
import { basename, extname, relative, resolve } from 'node:path';
import { locateStore } from '../db/path.js';
import { libraryVersion } from '../db/sqlite/connection.js';
import { flatMapEach } from '../each.js';
import { openSqlite } from '../engine/sqlite/dialect.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import type { Step } from '../steps/step.js';
import { BAD_DISABLE, disablesIn, filesOf, type StepFiles } from './disables.js';
import { type LintHit, parseStep, type RuleContext } from './parsed-step.js';
import { RULES } from './rules.js';
import { storeFacts } from './store-facts.js';

/** How to lint. */
export interface LintOptions {
  /** Steps to look at, by name or by path of their file. Default, also when empty: all. */
  readonly only?: readonly string[];
  /** Path of a store whose sizes are taken into account. Default: none. */
  readonly path?: string | undefined;
  /** Oldest SQLite that the steps are for, as `3.35`. Default: the one that this process has. */
  readonly sqlite?: string | undefined;
  /** Folder that paths are relative to. Default: the current one. */
  readonly folder?: string;
}

/** One unsafe thing in a step. */
export interface Finding {
  readonly step: string;
  /** File to mend, relative to the folder. */
  readonly file: string;
  readonly rule: string;
  readonly message: string;
  readonly suggestion: string;
  /** The statement that it is about; null when it is about the step or its file. */
  readonly statement: string | null;
}

/** What the linter has to say. */
export interface LintResult {
  /** Names of the steps that were looked at, in order. */
  readonly steps: readonly string[];
  /** By step, then by rule. Empty when every step is safe, or says why it is. */
  readonly findings: readonly Finding[];
}

interface StepWithFiles {
  readonly step: Step;
  readonly files: StepFiles;
}

/**
 * Looks for what is unsafe in migration steps: what would lock or lose data, or fail where a table has rows.
 *
 * @param steps all steps of a project
 * @param options see {@link LintOptions}
 * @throws {BackfillError} `STEP_UNKNOWN` when `only` names no step; a `STORE_…` code when the store can not be read
 */
export async function lint(steps: readonly Step[], options: LintOptions = {}): Promise<LintResult> {
  const { only = [], path, sqlite = libraryVersion(), folder = process.cwd() } = options;
  const all = steps.map((step) => ({ step, files: filesOf(step.path) }));
  const chosen = only.length === 0 ? all : all.filter(isIn(only.map((name) => findStep(all, name, folder))));
  const lintAll = async (context: RuleContext): Promise<LintResult> => ({
    steps: chosen.map(({ step }) => step.name),
    findings: await flatMapEach(chosen, async (one) => await findingsOf(one, context, folder)),
  });
  if (path === undefined) return await lintAll({ sqlite, store: undefined });
  const store = openSqlite(locateStore(path), { access: 'read' });
  try {
    return await store.snapshot(async (tx) => await lintAll({ sqlite, store: storeFacts(tx) }));
  } finally {
    await store.close();
  }
}

const isIn =
  (chosen: readonly StepWithFiles[]) =>
  (one: StepWithFiles): boolean =>
    chosen.includes(one);

/** The step of this name, or of this file. */
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
      ? msg('The project has: {names}', { names: all.map(({ step }) => step.name).join(', ') })
      : msg('The project has none'),
  );
}

async function findingsOf(
  { step, files }: StepWithFiles,
  context: RuleContext,
  folder: string,
): Promise<Finding[]> {
  const linted = parseStep(step);
  const names = RULES.map(({ name }) => name);
  const { rules: silent, bad } = disablesIn(
    files.all.map((path) => readFileSync(path, 'utf8')),
    names,
  );
  const asFinding =
    (rule: string) =>
    ({ message, suggestion, statement }: LintHit): Finding => ({
      step: step.name,
      file: relative(folder, files.file),
      rule,
      message,
      suggestion,
      statement: statement?.sql ?? null,
    });
  return [
    ...bad.map(asFinding(BAD_DISABLE)),
    ...(await flatMapEach(
      RULES.filter(({ name }) => !silent.has(name)),
      async ({ name, check }) => (await check(linted, context)).map(asFinding(name)),
    )),
  ];
}
