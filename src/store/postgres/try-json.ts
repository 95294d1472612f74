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

/** Whether a server needs that function. */
export const needsTryJson = (version: number): boolean => version < TRIES_JSON;
