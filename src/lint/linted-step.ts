import type { Step } from '../steps/step.js';
import { sqlFor } from '../steps/values.js';
import { readStatement, type Statement } from './statement.js';
import type { StoreFacts } from './store-facts.js';

/** A step as the rules see it. */
export interface LintedStep {
  readonly step: Step;
  /** Statements of a SQL step's `up`; none of other steps. */
  readonly up: readonly Statement[];
  /** Of its `down`; undefined when there is none. */
  readonly down: readonly Statement[] | undefined;
  /** Other SQL that it holds: conditions, and queries of checks. */
  readonly conditions: readonly Statement[];
  /** Tables that `up` makes, which have no rows of anybody's. */
  readonly made: ReadonlySet<string>;
}

/** What rules may ask beside the step. */
export interface Surroundings {
  /** Oldest SQLite that the steps are for, as `3.35`. */
  readonly sqlite: string;
  /** The store, when one is looked at. */
  readonly store: StoreFacts | undefined;
}

/** What a rule has found in a step. */
export interface Found {
  /** What is unsafe: one sentence without its full stop. */
  readonly message: string;
  /** What to do instead, likewise. */
  readonly instead: string;
  /** The statement that it is about; absent when it is about the step. */
  readonly statement?: Statement;
}

/** One rule of the linter. */
export interface Rule {
  readonly name: string;
  readonly check: (step: LintedStep, surroundings: Surroundings) => Promise<readonly Found[]>;
}

/** Reads the SQL of a step. */
export function lintedStep(step: Step): LintedStep {
  const isSql = step.kind === 'sql';
  const up = isSql ? step.up.map(readStatement) : [];
  return {
    step,
    up,
    down: isSql ? step.down?.map(readStatement) : [],
    conditions: conditionsOf(step).map(readStatement),
    made: new Set(
      up.flatMap(({ deed }) => (deed.kind === 'create-table' && !deed.isConditional ? [deed.name] : [])),
    ),
  };
}

function conditionsOf(step: Step): string[] {
  switch (step.kind) {
    case 'backfill':
      return [sqlFor(step.scope, 'SQLite'), ...(step.checks.indexes ?? []).map(({ query }) => query)];
    case 'schema':
      return step.indexes.flatMap(({ where }) => where ?? []);
    default:
      return [];
  }
}

/**
 * Tables that a step rebuilds: made new under another name, filled from the old one, which is dropped, and renamed.
 *
 * @returns the old name by the new one
 */
export function rebuiltTables({ up, made }: LintedStep): ReadonlyMap<string, string> {
  const dropped = new Set(
    up.flatMap(({ deed }) => (deed.kind === 'drop' && deed.what === 'TABLE' ? [deed.name] : [])),
  );
  return new Map(
    up.flatMap(({ deed }) =>
      deed.kind === 'rename-table' && made.has(deed.table) && dropped.has(deed.to)
        ? [[deed.table, deed.to] as const]
        : [],
    ),
  );
}
