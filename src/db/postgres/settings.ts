import { type PostgresClient, SAFE_PATH } from './client.js';

/**
 * Settings of every session of ours: texts that mean the same whatever the role, the database or the server sets, and an end of
 * sessions whose client is gone. TCP settings find a dead client within 30 seconds, but end at a pooler. The end of an idle
 * transaction holds behind one as well; the thread of the client keeps it from a batch that this program takes longer for.
 */
const SESSION_SETTINGS = `SET search_path = ${SAFE_PATH}; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET DateStyle = 'ISO, YMD';
  SET TimeZone = 'UTC'; SET bytea_output = 'hex'; SET extra_float_digits = 1; SET client_min_messages = 'error';
  SET row_security = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '60s';
  SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 4; SET tcp_user_timeout = '30s'`;

/** The same, where the server knows the setting: 14 and later, and 17 and later. */
const SETTINGS_IF_KNOWN = `SELECT set_config(name, CASE name WHEN 'client_connection_check_interval' THEN '500' ELSE '0' END, false)
  FROM pg_settings WHERE name IN ('client_connection_check_interval', 'idle_session_timeout', 'transaction_timeout')`;

/** Sets up a session. */
export async function applySettings(client: PostgresClient): Promise<void> {
  await client.script(SESSION_SETTINGS);
  await client.query(SETTINGS_IF_KNOWN);
}

/** Settings that a statement may change and that outlive its transaction. */
const CHANGEABLE = `FROM pg_settings WHERE context IN ('user', 'superuser')
  AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')`;

/** Settings of a session by name, as JSON. */
export type Settings = string;

/** Reads the settings of a session. */
export const readSettings = async (client: PostgresClient): Promise<Settings> =>
  String((await client.query(`SELECT json_object_agg(name, setting) ${CHANGEABLE}`)).rows[0]?.[0]);

/** Puts the settings of a session back to what they were, and its role; settings that no server knows go. */
export async function restoreSettings(client: PostgresClient, settings: Settings): Promise<void> {
  await client.script(
    `SET statement_timeout = 0; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; SET search_path = ${SAFE_PATH}`,
  );
  await client.query(
    `SELECT set_config(was.name, was.setting, false)
    FROM json_each_text($1) AS was (name, setting) JOIN (SELECT name, setting ${CHANGEABLE}) AS is_now USING (name)
    WHERE is_now.setting IS DISTINCT FROM was.setting`,
    [settings],
  );
}
