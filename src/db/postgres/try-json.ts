/** A server from which on a text can be tried as JSON without an error: 16. */
const TRIES_JSON = 160_000;

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
export const HOLDS = 'pg_temp.umzug_backfill_holds';

/** Makes that function. It says no where the UPDATE would reject the row: see `isRowsFault` in batch.ts. */
export const HOLDS_DDL = `CREATE OR REPLACE FUNCTION ${HOLDS}(value pg_catalog.anyelement, type pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE pg_catalog.format('SELECT ($1)::%s', type) USING value;
    RETURN true;
  EXCEPTION
    WHEN data_exception OR integrity_constraint_violation OR plpgsql_error
      OR external_routine_exception OR external_routine_invocation_exception THEN RETURN false;
  END $$`;

/** Whether a server needs the first of these functions, and the second for texts. */
export const needsTryJson = (version: number): boolean => version < TRIES_JSON;
