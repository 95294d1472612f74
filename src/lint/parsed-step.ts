import type { Step } from '../steps/step.js';
import { sqlFor } from '../steps/values.js';
import { readStatement, type Statement } from './statement.js';
import type { StoreFacts } from './store-facts.js';

/** A step as the rules see it. */
export interface ParsedStep {
  readonly step: Step;
  /** Statements of a SQL step's `up`; none of other steps. */
  readonly up: readonly Statement[];
  /** Of its `down`; undefined when there is none. */
  readonly down: readonly Statement[] | undefined;
  /** Other SQL that it holds: conditions, and queries of checks. */
  readonly otherSql: readonly Statement[];
  /** Tables that `up` makes, which have no rows of anybody's. */
  readonly createdTables: ReadonlySet<string>;
}

/** What rules may ask beside the step. */
export interface RuleContext {
  /** Oldest SQLite that the steps are for, as `3.35`. */
  readonly sqlite: string;
  /** The store, when one is looked at. */
  readonly store: StoreFacts | undefined;
}

/** What a rule has found in a step. */
export interface LintHit {
  /** What is unsafe: one sentence without its full stop. */
  readonly message: string;
  /** What to do instead, likewise. */
  readonly suggestion: string;
  /** The statement that it is about; absent when it is about the step. */
  readonly statement?: Statement;
}

/** One rule of the linter. */
export interface LintRule {
  readonly name: string;
  readonly check: (step: ParsedStep, context: RuleContext) => Promise<readonly LintHit[]>;
}

/** Reads the SQL of a step. */
export function parseStep(step: Step): ParsedStep {
  const isSql = step.kind === 'sql';
  const up = isSql ? step.up.map(readStatement) : [];
  return {
    step,
    up,
    down: isSql ? step.down?.map(readStatement) : [],
    otherSql: otherSqlOf(step).map(readStatement),
    createdTables: new Set(
      up.flatMap(({ operation }) =>
        operation.kind === 'create-table' && !operation.isConditional ? [operation.name] : [],
      ),
    ),
  };
}

function otherSqlOf(step: Step): string[] {
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
export function rebuiltTables({ up, createdTables }: ParsedStep): ReadonlyMap<string, string> {
  const dropped = new Set(
    up.flatMap(({ operation }) =>
      operation.kind === 'drop' && operation.what === 'TABLE' ? [operation.name] : [],
    ),
  );
  return new Map(
    up.flatMap(({ operation }) =>
      operation.kind === 'rename-table' && createdTables.has(operation.table) && dropped.has(operation.to)
        ? [[operation.table, operation.to] as const]
        : [],
    ),
  );
}
