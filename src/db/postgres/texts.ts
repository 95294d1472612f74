import { LEDGER_TABLES } from '../../ledger/tables.js';
import { identifier } from '../sql.js';

// Our SQL, as it stands in the source, becomes what the server is asked.

/** The ledger's transactions that wrote the rows of each batch, with the table that they wrote into. */
export const XIDS_TABLE = 'umzug_backfill_xids';

/** The sequence that gives each batch its number. */
export const BATCH_NUMBERS = 'umzug_backfill_batch_numbers';

/** The tables of the ledger. */
export const OUR_TABLES: readonly string[] = [...Object.values(LEDGER_TABLES), XIDS_TABLE];

const OURS = new Set([...OUR_TABLES, BATCH_NUMBERS]);

/** Text in quotes and comments, in which nothing is ours; placeholders; names of ours. */
const TOKENS =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\?|(?<![\w$.])umzug_backfill_[a-z_]+/g;

/** Whether SQL names a table of the ledger. */
export const namesLedger = (sql: string): boolean =>
  sql.includes('umzug_backfill_') && [...sql.matchAll(TOKENS)].some(([part]) => OURS.has(part));

/**
 * SQL with PostgreSQL's placeholders, and the ledger's tables in their schema: found by a search path, each could be another's.
 *
 * @param schema of the ledger; needed only where {@link namesLedger} says so
 * @param hasParameters whether a question mark is a placeholder
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

/** SQL for an operator of PostgreSQL's own. */
export const operator = (sign: string): string => `OPERATOR(pg_catalog.${sign})`;

/** Comparisons of PostgreSQL's own. */
export const EQ = operator('=');
export const NE = operator('<>');
export const LT = operator('<');
export const LE = operator('<=');
export const GT = operator('>');

/** SQL for the name of a function of PostgreSQL's own. */
export const builtIn = (name: string): string => `pg_catalog.${name}`;

/** SQL that makes ISO-8601 in UTC of an instant. */
export const instantSql = (instant: string): string =>
  `to_char(${instant} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** Types that PostgreSQL's grammar knows: whatever is behind them, they are not looked up. Others are, unless a schema is named. */
const IS_FOUND =
  /^(?:(?:bigint|bit|boolean|character|double precision|integer|interval|numeric|real|smallint|time|timestamp)\b|(?:"(?:[^"]|"")*"|[^".]*)\.)/;

/** SQL for a type, whatever the search path, of the text that `format_type()` gives in ours. */
export const typeSql = (type: string): string => (IS_FOUND.test(type) ? type : `pg_catalog.${type}`);

/** A server from which on a text can be tried as JSON without an error: 16. */
const MIN_PG_INPUT_IS_VALID = 160_000;

/** SQL name of a function of the session that tries it on an older server. */
export const TRY_JSON = 'pg_temp.umzug_backfill_jsonb';

/**
 * Makes that function; once a connection, before any snapshot. It gives NULL only where the error is about the text: not JSON, or
 * too much for jsonb. Errors of the server, such as a stack or a memory that does not suffice, end the run.
 */
export const TRY_JSON_DDL = `CREATE OR REPLACE FUNCTION ${TRY_JSON}(document pg_catalog.text) RETURNS pg_catalog.jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
  BEGIN
    RETURN document::pg_catalog.jsonb;
  EXCEPTION
    WHEN statement_too_complex THEN RAISE;
    WHEN data_exception OR program_limit_exceeded THEN RETURN NULL;
  END $$`;

/** SQL name of a function of the session that tells whether a type can hold a value. */
export const CAN_CAST = 'pg_temp.umzug_backfill_holds';

/** Makes that function. It says no where the UPDATE would reject the row: see `isRowError` in batch.ts. */
export const CAN_CAST_DDL = `CREATE OR REPLACE FUNCTION ${CAN_CAST}(value pg_catalog.anyelement, type pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE pg_catalog.format('SELECT ($1)::%s', type) USING value;
    RETURN true;
  EXCEPTION
    WHEN data_exception OR integrity_constraint_violation OR plpgsql_error
      OR external_routine_exception OR external_routine_invocation_exception THEN RETURN false;
  END $$`;

/** Whether a server needs the first of these functions, and the second for texts. */
export const needsTryJson = (version: number): boolean => version < MIN_PG_INPUT_IS_VALID;
