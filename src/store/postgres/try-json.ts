/** A server from which on a text can be tried as JSON without an error: 16. */
const TRIES_JSON = 160_000;

/** SQL name of a function of the session that tries it on an older server. */
export const TRY_JSON = 'pg_temp.umzug_backfill_jsonb';

/** Makes that function; once a connection, before any snapshot. */
export const TRY_JSON_DDL = `CREATE OR REPLACE FUNCTION ${TRY_JSON}(document text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
  BEGIN
    RETURN document::jsonb;
  EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
  END $$`;

/** SQL name of a function of the session that tells whether a text is one of a type. */
export const HOLDS = 'pg_temp.umzug_backfill_holds';

/** Makes that function. */
export const HOLDS_DDL = `CREATE OR REPLACE FUNCTION ${HOLDS}(value text, type text) RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    EXECUTE format('SELECT %L::%s', value, type);
    RETURN true;
  EXCEPTION WHEN OTHERS THEN
    RETURN false;
  END $$`;

/** Whether a server needs these functions. */
export const needsTryJson = (version: number): boolean => version < TRIES_JSON;
