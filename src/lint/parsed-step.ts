import { flatMapEach } from '../each.js';
import type { Message } from '../messages/message.js';
import type { Step } from '../steps/step.js';
import { sqlFor } from '../steps/values.js';
import { type Operation, readStatement, type Statement } from './statement.js';
import type { StoreFacts } from './store-facts.js';

/** A step with its parsed SQL. */
export interface ParsedStep {
  readonly step: Step;
  /** Statements of a SQL step's `up`; empty for other steps. */
  readonly up: readonly Statement[];
  /** Statements of its `down`; undefined if a SQL step has none. */
  readonly down: readonly Statement[] | undefined;
  /** Conditions, and queries of checks. */
  readonly otherSql: readonly Statement[];
  /** Tables that `up` creates, which therefore have no rows of the application. */
  readonly createdTables: ReadonlySet<string>;
}

/** Facts besides the step. */
export interface RuleContext {
  /** Oldest SQLite that must run the steps, such as `3.35`. */
  readonly sqlite: string;
  /** Facts about the store, if one was passed. */
  readonly store: StoreFacts | undefined;
}

/** One finding of a rule. */
export interface LintHit {
  /** The problem: one sentence without full stop. */
  readonly message: Message;
  /** The alternative: one imperative sentence without full stop. */
  readonly suggestion: Message;
  /** The unsafe statement; undefined if the step is unsafe as a whole. */
  readonly statement: Statement | undefined;
}

/** Returns a finding about a step, or about the statement that its rule examines. */
export const hit = (message: Message, suggestion: Message): LintHit => ({
  message,
  suggestion,
  statement: undefined,
});

/** One rule of the linter. */
export interface LintRule {
  readonly name: string;
  readonly check: (step: ParsedStep, context: RuleContext) => Promise<readonly LintHit[]>;
}

/** A rule that examines each statement of `up` by itself. */
export interface StatementRule {
  readonly name: string;
  readonly find: (
    operation: Operation,
    step: ParsedStep,
    context: RuleContext,
  ) => Promise<LintHit | undefined>;
}

/** Converts a rule about statements. */
export const eachStatement = ({ name, find }: StatementRule): LintRule => ({
  name,
  check: async (step, context) =>
    await flatMapEach(step.up, async (statement) => {
      const found = await find(statement.operation, step, context);
      return found ? [{ ...found, statement }] : [];
    }),
});

/** Parses the SQL of a step. */
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
 * Returns the tables that a step rebuilds: it creates one under another name, drops the old one, and renames the new one.
 *
 * @returns the old name by the temporary one
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
