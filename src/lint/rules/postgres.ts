import { foldCase } from '../../db/sql.js';
import { msg } from '../../messages/message.js';
import {
  eachStatement,
  hit,
  type LintHit,
  type LintRule,
  type ParsedStep,
  rebuiltTables,
} from '../parsed-step.js';
import {
  defaultOf,
  hasSequence,
  indexOfSequence,
  isNullDefault,
  isNumbered,
  isToken,
  type Token,
} from '../tokens.js';

// Rules for PostgreSQL, by the lock that a statement takes and whether it reads or copies the rows with it.
// See https://www.postgresql.org/docs/current/sql-altertable.html (Notes) and explicit-locking.html

/** Finds indexes that are built while other programs cannot write. */
export const blockingIndex = eachStatement('index-on-large-table', {
  'create-index'({ table, name: index, isConcurrent, isUnique }, { createdTables }) {
    if (createdTables.has(table) || isConcurrent) return undefined;
    return hit(
      msg('Creates the index {index} on {table}: no other program can write until every row is read', {
        ...{ index, table },
      }),
      isUnique
        ? msg('Create it outside a step with CREATE UNIQUE INDEX CONCURRENTLY')
        : msg('Create it with defineSchemaStep(), which uses CONCURRENTLY'),
    );
  },
  'add-constraint': indexedConstraint,
  'add-column': indexedConstraint,
});

/** A column or a constraint that is added to a table. */
interface Added {
  readonly table: string;
  readonly rest: readonly Token[];
}

function indexedConstraint({ table, rest }: Added, { createdTables }: ParsedStep): LintHit | undefined {
  if (createdTables.has(table) || !hasIndex(rest)) return undefined;
  return hit(
    msg(
      'Adds a constraint with an index to {table}: no other program can read or write until every row is read',
      { table },
    ),
    msg('Create the unique index outside a step with CONCURRENTLY, and add the constraint USING INDEX'),
  );
}

/** Checks whether a constraint is one that builds an index. */
const hasIndex = (rest: readonly Token[]): boolean =>
  ['UNIQUE', 'PRIMARY KEY', 'EXCLUDE'].some((words) => hasSequence(rest, words, 0)) &&
  !hasSequence(rest, 'USING INDEX', 0);

/** Finds CONCURRENTLY, which PostgreSQL rejects in a transaction. */
export const concurrentlyInStep = eachStatement('concurrently-in-step', {
  'create-index': ({ isConcurrent }) => (isConcurrent ? concurrently() : undefined),
  drop: ({ isConcurrent }) => (isConcurrent ? concurrently() : undefined),
  rewrite: ({ isConcurrent }) => (isConcurrent ? concurrently() : undefined),
});

const concurrently = () =>
  hit(
    msg('Uses CONCURRENTLY, which PostgreSQL rejects in a transaction such as that of a step'),
    msg('Declare the index with defineSchemaStep(); or run the statement outside a step'),
  );

/** Finds statements that copy or sort a whole table under a lock. */
export const blockingRewrite = eachStatement('table-rebuild', {
  rewrite({ name: table, isConcurrent }, { createdTables }) {
    if (createdTables.has(table) || isConcurrent) return undefined;
    return hit(
      msg('Copies or sorts {table} as a whole: no other program can write until that is done', { table }),
      msg('Run it outside a step, with CONCURRENTLY where PostgreSQL has that'),
    );
  },
  'rename-table'({ table: temporary, to: table }, step) {
    if (!rebuiltTables(step).has(temporary)) return undefined;
    return hit(
      msg('Rebuilds the table {table}: rows that other programs write during the copy are lost', { table }),
      msg('Add a column, fill it with defineBackfill(), and switch the application to it'),
    );
  },
});

/** Finds types that are changed, which copies every row unless the old type has the same form. */
export const typeChange = eachStatement('type-change', {
  'alter-column'({ table, name: column, rest }, { createdTables }) {
    const isType = isToken(rest[0], 'TYPE') || hasSequence(rest.slice(0, 3), 'SET DATA TYPE');
    if (createdTables.has(table) || !isType) return undefined;
    return hit(
      msg(
        'Changes the type of {column} of {table}: unless the old values fit as they are, no other program can read or write until every row is copied',
        { column, table },
      ),
      msg(
        'Add a column of the new type, fill it with defineBackfill(), and switch the application to it; if every old value fits, state that where this rule is disabled',
      ),
    );
  },
});

/** Functions whose value is the same for all rows of a statement. PostgreSQL takes any other for a new value per row, unless it is declared so. */
const CONSTANT =
  /^(?:NOW|TRANSACTION_TIMESTAMP|STATEMENT_TIMESTAMP|(?:CURRENT_|LOCAL)TIME(?:STAMP)?|DATE_TRUNC|TIMEZONE|TO_TIMESTAMP|MAKE_\w+|LOWER|UPPER|CONCAT|JSONB?_BUILD_\w+|TO_JSONB?|VARCHAR|CHAR(?:ACTER)?|BPCHAR|VARYING|NUMERIC|DECIMAL|BIT|VARBIT|TIME(?:STAMP)?(?:TZ)?|INTERVAL|FLOAT)$/;

/** Finds new columns whose values differ from row to row. */
export const volatileDefault = eachStatement('volatile-default', {
  'add-column'({ table, name: column, rest }, { createdTables }) {
    if (createdTables.has(table) || !(isNumbered(rest) || isComputed(rest) || isVolatile(rest)))
      return undefined;
    return hit(
      msg(
        'Adds the column {column} to {table} with a value per row: no other program can read or write until every row is copied',
        { column, table },
      ),
      msg(
        'Add it without a value, fill existing rows with defineBackfill(), and set the default for new rows',
      ),
    );
  },
});

const isComputed = (rest: readonly Token[]): boolean =>
  hasSequence(rest, 'AS (', 0) && hasSequence(rest, 'STORED', 0);

/** Begins the next constraint of a column. */
const NEXT = /^(?:NOT|NULL|CHECK|UNIQUE|PRIMARY|REFERENCES|CONSTRAINT|COLLATE|GENERATED)$/;

const isVolatile = (rest: readonly Token[]): boolean => {
  const start = indexOfSequence(rest, 'DEFAULT', 0) + 1;
  const end = rest.findIndex(
    ({ kind, text, depth }, i) => i > start && depth === 0 && kind === 'word' && NEXT.test(text),
  );
  const value = start === 0 ? [] : rest.slice(start, end < 0 ? undefined : end);
  return value.some(
    ({ kind, text }, i) => kind === 'word' && isToken(value[i + 1], '(') && !CONSTANT.test(text),
  );
};

/** Finds constraints for which every row is read under a lock. */
export const scanUnderLock: LintRule = eachStatement('scan-under-lock', {
  'alter-column'({ table, name: column, rest }, { createdTables }) {
    if (createdTables.has(table) || !hasSequence(rest, 'SET NOT NULL', 0)) return undefined;
    return hit(
      msg(
        'Sets {column} of {table} to NOT NULL: no other program can read or write until every row is read',
        {
          ...{ column, table },
        },
      ),
      msg(
        'Add CHECK ({column} IS NOT NULL) NOT VALID, validate it in a later step, and set NOT NULL in the step after that',
        { column },
      ),
    );
  },
  'add-constraint'({ table, rest }, { createdTables }) {
    const isChecked = hasSequence(rest, 'CHECK', 0) || hasSequence(rest, 'FOREIGN KEY', 0);
    const isFound = isChecked && !hasSequence(rest, 'NOT VALID', 0) && !createdTables.has(table);
    return isFound ? checkedConstraint(table) : undefined;
  },
  'add-column'({ table, rest }, { createdTables }) {
    // A new column without a default references nothing, so PostgreSQL reads no row for REFERENCES.
    const isReferring = hasSequence(rest, 'REFERENCES', 0) && !isNullDefault(defaultOf(rest));
    const isFound = (hasSequence(rest, 'CHECK', 0) || isReferring) && !createdTables.has(table);
    return isFound ? checkedConstraint(table) : undefined;
  },
  validate({ table }, { up }) {
    const isLocked = up.some(
      ({ operation: { kind, ...operation } }) =>
        kind !== 'validate' && LOCKS.has(kind) && 'table' in operation && operation.table === table,
    );
    if (!isLocked) return undefined;
    return hit(
      msg(
        'Validates a constraint of {table}, which this step has locked: no other program can write until every row is checked',
        { table },
      ),
      msg('Validate it in a later step'),
    );
  },
});

const checkedConstraint = (table: string): LintHit =>
  hit(
    msg('Adds a constraint to {table}: no other program can write until every row is checked', { table }),
    msg('Add it NOT VALID, and use VALIDATE CONSTRAINT in a later step'),
  );

/** Statements with a lock on their table that other programs wait for, until the end of the step. */
const LOCKS: ReadonlySet<string> = new Set([
  ...['add-column', 'drop-column', 'rename-column', 'rename-table', 'alter-column', 'add-constraint'],
  ...['create-index', 'lock', 'truncate'],
]);

/** Finds explicit locks. */
export const explicitLock = eachStatement('explicit-lock', {
  lock: ({ table }, { createdTables }) =>
    createdTables.has(table)
      ? undefined
      : hit(
          msg('Locks {table} until the end of the step', { table }),
          msg('Remove it: each statement takes the lock that it needs'),
        ),
});

/** Finds objects that are dropped, and rows that are deleted, with all that depends on them. */
export const cascade = eachStatement('drop-table-cascade', {
  drop({ name, isCascade }, { createdTables }) {
    if (!isCascade || createdTables.has(foldCase(name))) return undefined;
    return hit(
      msg(
        'Drops {name} with CASCADE: views, foreign keys and other objects that depend on it are dropped, too',
        {
          name,
        },
      ),
      msg('Drop them by their names, without CASCADE'),
    );
  },
  truncate({ table, isCascade }, { createdTables }) {
    if (!isCascade || createdTables.has(table)) return undefined;
    return hit(
      msg('Truncates {table} with CASCADE: every table that references it loses all rows, too', { table }),
      msg('Truncate the tables by their names, without CASCADE'),
    );
  },
});
