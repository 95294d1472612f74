import { LEDGER_TABLES } from '../../ledger/tables.js';
import { identifier } from '../sql.js';

// Rewrites our SQL for PostgreSQL.

/** Ledger table with the transaction that wrote the rows of each batch, and the table that it wrote to. */
export const XIDS_TABLE = 'umzug_backfill_xids';

/** Sequence of batch numbers. */
export const BATCH_NUMBERS = 'umzug_backfill_batch_numbers';

/** Tables of the ledger. */
export const OUR_TABLES: readonly string[] = [...Object.values(LEDGER_TABLES), XIDS_TABLE];

const OURS = new Set([...OUR_TABLES, BATCH_NUMBERS]);

/** Quoted text and comments, which stay unchanged; placeholders; names of the ledger. */
const TOKENS =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\?|(?<![\w$.])umzug_backfill_[a-z_]+/g;

/** Whether SQL names a table of the ledger. */
export const namesLedger = (sql: string): boolean =>
  sql.includes('umzug_backfill_') && [...sql.matchAll(TOKENS)].some(([part]) => OURS.has(part));

/**
 * Replaces `?` by PostgreSQL's placeholders, and qualifies the ledger's tables with their schema, because a search path could
 * find another table of that name.
 *
 * @param schema schema of the ledger; used only if {@link namesLedger} holds
 * @param hasParameters whether question marks are placeholders
 */
export function asked(sql: string, schema: string, hasParameters: boolean): string {
  let n = 0;
  return sql.replace(TOKENS, (part) => {
    if (part === '?' && hasParameters) {
      n += 1;
      return `$${n}`;
    }
    return OURS.has(part) ? `${identifier(schema)}.${part}` : part;
  });
}

/** Returns SQL for a built-in operator. */
export const operator = (sign: string): string => `OPERATOR(pg_catalog.${sign})`;

/** Built-in comparison operators. */
export const EQ = operator('=');
export const NE = operator('<>');
export const LT = operator('<');
export const LE = operator('<=');
export const GT = operator('>');

/** Returns SQL for the name of a built-in function. */
export const builtIn = (name: string): string => `pg_catalog.${name}`;

/** Returns SQL that formats an instant as ISO-8601 in UTC. */
export const instantSql = (instant: string): string =>
  `to_char(${instant} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Types that are not looked up in the search path: those in PostgreSQL's grammar, and those with a schema. */
const IS_FOUND =
  /^(?:(?:bigint|bit|boolean|character|double precision|integer|interval|numeric|real|smallint|time|timestamp)\b|(?:"(?:[^"]|"")*"|[^".]*)\.)/;

/** Returns SQL for a type that does not depend on the search path, from `format_type()` under {@link SAFE_PATH}. */
export const typeSql = (type: string): string => (IS_FOUND.test(type) ? type : `pg_catalog.${type}`);

/** First server version with `pg_input_is_valid()`: 16. */
const MIN_PG_INPUT_IS_VALID = 160_000;

/** SQL name of the temporary function that replaces it on older servers. */
export const TRY_JSON = 'pg_temp.umzug_backfill_jsonb';

/**
 * Creates {@link TRY_JSON}; run once per connection, before any snapshot. The function returns NULL only for errors in the text:
 * not JSON, or too large for jsonb. Errors of the server, such as insufficient stack or memory, end the run.
 */
export const TRY_JSON_DDL = `CREATE OR REPLACE FUNCTION ${TRY_JSON}(document pg_catalog.text) RETURNS pg_catalog.jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
  BEGIN
    RETURN document::pg_catalog.jsonb;
  EXCEPTION
    WHEN statement_too_complex THEN RAISE;
    WHEN data_exception OR program_limit_exceeded THEN RETURN NULL;
  END $$`;

/** SQL name of the temporary function that tests whether a type accepts a value. */
export const CAN_CAST = 'pg_temp.umzug_backfill_holds';

/** Creates {@link CAN_CAST}. It returns false if the UPDATE would reject the row: see `isRowError` in batch.ts. */
export const CAN_CAST_DDL = `CREATE OR REPLACE FUNCTION ${CAN_CAST}(value pg_catalog.anyelement, type pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE pg_catalog.format('SELECT ($1)::%s', type) USING value;
    RETURN true;
  EXCEPTION
    WHEN data_exception OR integrity_constraint_violation OR plpgsql_error
      OR external_routine_exception OR external_routine_invocation_exception THEN RETURN false;
  END $$`;

/** Whether a server needs {@link TRY_JSON}, and {@link CAN_CAST} for texts. */
export const needsTryJson = (version: number): boolean => version < MIN_PG_INPUT_IS_VALID;
