import type { Store } from '../db/connection.js';
import { foldCase, identifier } from '../db/sql.js';
import { flatMapEach } from '../each.js';
import { tableBytes } from '../engine/sqlite/inspect.js';
import type { Message } from '../messages/message.js';
import type { Step } from '../steps/step.js';
import { sqlFor } from '../steps/values.js';
import { type Operation, readStatement, type Statement } from './statement.js';

/** A step with its parsed SQL. */
export type ParsedStep = ReturnType<typeof parseStep>;

/** Facts besides the step. */
export interface RuleContext {
  /** Engine that the steps are for. */
  readonly engine: 'SQLite' | 'PostgreSQL';
  /** Oldest SQLite that must run the steps, such as `3.35`. */
  readonly sqlite: string;
  /** Facts about the store, if one was passed; only for SQLite. */
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

/** Examines an operation of `up`. */
type Examine<Kind> = (
  operation: Operation & { readonly kind: Kind },
  step: ParsedStep,
  context: RuleContext,
) => LintHit | undefined | Promise<LintHit | undefined>;

/**
 * Returns a rule that examines each statement of `up` by itself.
 *
 * @param find by kind of operation; statements without one are safe
 */
export const eachStatement = (
  name: string,
  find: { readonly [Kind in Operation['kind']]?: Examine<Kind> },
): LintRule => ({
  name,
  check: async (step, context) =>
    await flatMapEach(step.up, async (statement) => {
      const { operation } = statement;
      const examine = find[operation.kind] as Examine<Operation['kind']> | undefined;
      const found = await examine?.(operation, step, context);
      return found ? [{ ...found, statement }] : [];
    }),
});

/** Parses the SQL of a step. */
export function parseStep(step: Step) {
  const isSql = step.kind === 'sql';
  const up = isSql ? step.up.flatMap(readStatement) : [];
  const created = up.flatMap(({ operation }) =>
    operation.kind === 'create-table' && !operation.isConditional ? [operation.name] : [],
  );
  return {
    step,
    /** Statements of a SQL step's `up`; empty for other steps. */
    up,
    /** Statements of its `down`; undefined if a SQL step has none. */
    down: isSql ? step.down?.flatMap(readStatement) : [],
    /** Conditions, and queries of checks. */
    otherSql: otherSqlOf(step).flatMap(readStatement),
    /** Tables that `up` creates, which therefore have no rows of the application. */
    createdTables: new Set(created),
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

/** Maximum rows that may be changed in one statement: two batches of the default size. */
const SMALL_TABLE_ROWS = 10_000;

/** Facts about the tables of a store. Names are in folded case. */
export type StoreFacts = ReturnType<typeof storeFacts>;

/** Returns functions that read facts from a store. */
export function storeFacts(store: Store) {
  const hasMoreRows = async (table: string, than: number): Promise<boolean> =>
    (await store.dialect.hasTable(store, table)) &&
    (await store.project.get(`SELECT 1 FROM ${identifier(table)} LIMIT 1 OFFSET ${than}`)) !== undefined;
  const names = async (sql: string, table: string): Promise<string[]> =>
    (await store.pluck<string | null>(sql, table, table)).map((name) => foldCase(name ?? ''));
  return {
    /** Checks whether the table exists and has a row. */
    hasRows: async (table: string) => await hasMoreRows(table, 0),
    /** Checks whether the table exists and has more rows than one statement may change. */
    hasManyRows: async (table: string) => await hasMoreRows(table, SMALL_TABLE_ROWS),
    /** Returns the bytes of the table without its indexes; 0 if it does not exist. */
    bytes: async (table: string) => await tableBytes(store, table),
    /** Returns the tables with a foreign key to this one. */
    referrers: async (table: string) =>
      await names(
        `SELECT DISTINCT m.name FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name) AS f
        WHERE m.type = 'table' AND f."table" = ? COLLATE NOCASE AND m.name <> ? COLLATE NOCASE ORDER BY m.name`,
        table,
      ),
    /** Returns the columns that each identify a row of the table. */
    uniqueColumns: async (table: string) =>
      await names(
        `WITH c AS (SELECT name, pk FROM pragma_table_info(?)),
          i AS (SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial)
        SELECT name FROM c WHERE pk = 1 AND (SELECT max(pk) FROM c) = 1
        UNION SELECT min(x.name) FROM i JOIN pragma_index_info(i.name) AS x GROUP BY i.name HAVING count(*) = 1`,
        table,
      ),
  };
}
