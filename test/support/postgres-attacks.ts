import { after, before } from 'mocha';
import type pg from 'pg';
import { connect, type PostgresServer, startServer, whyNoServer, withDatabase } from './postgres-server.js';

// What another role of a database plants for those who run this program: on a server of its own, as roles are those of a whole server.

/** A database that `app_owner` owns, in which the role `low` may make objects in the schema `public` where a test says so. */
export interface AttackedDatabase {
  readonly name: string;
  /** Its URL for a role. */
  url(role: string): string;
  /** Runs SQL as a role. */
  as(role: string, sql: string): Promise<void>;
  /** Whoever has run what was planted, and what that was. */
  loot(): Promise<string[]>;
}

/** Its tables, those of AgentOS. */
const TABLES = `
  CREATE TABLE schema_version (version text NOT NULL);
  INSERT INTO schema_version VALUES ('0.20.0');
  CREATE TABLE task_audits (audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, task_id text, event_type text NOT NULL,
    payload text, created_at text NOT NULL);
  INSERT INTO task_audits (task_id, event_type, payload, created_at) SELECT 't' || g, 'SUPERVISOR_BLOCKED',
    CASE WHEN g % 10 = 0 THEN '{"source_event_ts": NaN, "processed_at": "2026-01-20T10:00:05Z"}'
      WHEN g % 11 = 0 THEN 'no document'
      ELSE '{"source_event_ts": "2026-01-20T10:00:00Z", "processed_at": "2026-01-20T10:00:05Z"}' END, '2026-01-20T10:00:10Z'
    FROM generate_series(1, 60) AS g;`;

/** Where whatever was planted tells that it ran, and as whom. */
const LOOT = `
  CREATE SCHEMA loot;
  GRANT USAGE ON SCHEMA loot TO public;
  CREATE TABLE loot.taken (who text, how text);
  GRANT ALL ON loot.taken TO public;
  CREATE FUNCTION loot.boom(how text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF current_user <> 'low' THEN
      PERFORM nextval('loot.times'); -- also of a transaction that is rolled back; one that only reads ends with an error
      INSERT INTO loot.taken VALUES (current_user, how);
    END IF;
  END $$;
  CREATE SEQUENCE loot.times;
  GRANT ALL ON SEQUENCE loot.times TO public;`;

const ROLES = `
  CREATE ROLE app_owner LOGIN;
  CREATE ROLE low LOGIN;
  CREATE ROLE deployer LOGIN IN ROLE app_owner;
  CREATE ROLE second_deployer LOGIN IN ROLE app_owner;
  CREATE ROLE app LOGIN;
  CREATE ROLE dba LOGIN IN ROLE postgres;
  CREATE ROLE filer LOGIN IN ROLE pg_write_server_files;
  CREATE ROLE group_of_low ROLE low;`;

/** The server of a `describe`, and what acts on a new database of it. */
export function useAttacked() {
  let server: PostgresServer | undefined;
  before(async () => {
    if (whyNoServer() !== undefined) return;
    server = await startServer();
    const client = await connect(server.url('postgres'));
    await client.query(ROLES);
    await client.end();
  });
  after(async () => {
    await server?.stop();
  });
  return async (act: (database: AttackedDatabase) => Promise<void>): Promise<void> => {
    if (!server) throw new Error('Expected a server');
    await withDatabase(
      async ({ name, client, url }) => {
        await client.query(`ALTER DATABASE ${name} OWNER TO app_owner`);
        // As it is from PostgreSQL 15 on, whatever the server.
        await client.query(
          'REVOKE CREATE ON SCHEMA public FROM public; ALTER SCHEMA public OWNER TO app_owner',
        );
        await client.query(LOOT);
        const urlOf = (role: string): string => url.replace('postgres://postgres@', `postgres://${role}@`);
        const as = async (role: string, sql: string): Promise<void> => {
          const own = await connect(urlOf(role));
          try {
            await own.query(sql);
          } finally {
            await own.end();
          }
        };
        await as('app_owner', TABLES);
        await act({ name, url: urlOf, as, loot: () => taken(client) });
      },
      { server },
    );
  };
}

async function taken(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ who: string; how: string }>('SELECT who, how FROM loot.taken');
  const { rows: times } = await client.query<{ n: string }>(
    'SELECT last_value AS n FROM loot.times WHERE is_called',
  );
  return [...new Set(rows.map(({ who, how }) => `${who}: ${how}`)), ...times.map(({ n }) => `${n} times`)];
}

/** Types of our statements' operands. */
const TYPES = 'int2 int4 int8 text varchar bpchar numeric oid xid jsonb json'.split(' ');

const SIGNS = '= <> < <= > >= ~ ~~ || -> ->> ? & + - * / %'.split(' ');

/** PostgreSQL's own functions that take any type, or others: one of the same name for a type of its own is found first. */
const NAMES =
  `count json_agg sum max min unnest array_position to_json array_to_json pg_typeof cardinality json_build_array length octet_length
  abs quote_literal format strpos translate split_part row_number string_agg age pg_relation_filenode array_agg jsonb_typeof`.split(
    /\s+/,
  );

const listed = (texts: readonly string[]): string => texts.map((text) => `'${text}'`).join();

/** Operators and functions for every pair of types that PostgreSQL has none of its own for. */
export const TRAPS = `DO $do$ DECLARE l text; r text; sign text; f text; n int := 0; BEGIN
  FOREACH l IN ARRAY ARRAY[${listed(TYPES)}] LOOP
    FOREACH r IN ARRAY ARRAY[${listed(TYPES)}] LOOP
      EXECUTE format('CREATE FUNCTION public.trap(a %s, b %s) RETURNS boolean LANGUAGE plpgsql AS
        $f$ BEGIN PERFORM loot.boom(''operator of %s and %s''); RETURN true; END $f$', l, r, l, r);
      FOREACH sign IN ARRAY ARRAY[${listed(SIGNS)}] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_operator WHERE oprname = sign AND oprleft = l::regtype AND oprright = r::regtype) THEN
          EXECUTE format('CREATE OPERATOR public.%s (leftarg = %s, rightarg = %s, function = public.trap)', sign, l, r);
        END IF;
      END LOOP;
      FOREACH f IN ARRAY ARRAY[${listed(NAMES)}] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE proname = f AND pronargs = 2 AND proargtypes[0] = l::regtype AND proargtypes[1] = r::regtype) THEN
          EXECUTE format('CREATE FUNCTION public.%I(a %s, b %s) RETURNS text LANGUAGE plpgsql AS
            $f$ BEGIN PERFORM loot.boom(''function %s''); RETURN NULL; END $f$', f, l, r, f);
        END IF;
      END LOOP;
    END LOOP;
    FOREACH f IN ARRAY ARRAY[${listed(NAMES)}] LOOP
      FOREACH r IN ARRAY ARRAY[l, l || '[]'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE proname = f AND pronargs = 1 AND proargtypes[0] = r::regtype) THEN
          EXECUTE format('CREATE FUNCTION public.%I(a %s) RETURNS text LANGUAGE plpgsql AS
            $f$ BEGIN PERFORM loot.boom(''function %s''); RETURN NULL; END $f$', f, r, f);
        END IF;
      END LOOP;
    END LOOP;
  END LOOP;
END $do$;
CREATE FUNCTION public.array_position(int2[], int2) RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN PERFORM loot.boom('array_position'); RETURN pg_catalog.array_position($1, $2); END $$;`;

/**
 * What is found before PostgreSQL's own where `public` is before `pg_catalog` in the path: a domain with the name of each of its types, and
 * each of its functions again.
 */
export const TRAPS_IN_FRONT = `CREATE FUNCTION public.trapped(how text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS
    $f$ BEGIN PERFORM loot.boom(how); RETURN true; END $f$;
  DO $do$ DECLARE r record; made text; BEGIN
    FOR r IN SELECT * FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r') AND typcategory <> 'A' LOOP
      EXECUTE format('CREATE DOMAIN public.%I AS pg_catalog.%I CHECK (public.trapped(%L))', r.typname, r.typname, 'type ' || r.typname);
    END LOOP;
    FOR r IN SELECT p.oid, p.proname, p.proargtypes, format_type(p.prorettype, NULL) AS result, t.args, t.given FROM pg_proc AS p
      CROSS JOIN LATERAL (SELECT coalesce(string_agg(format_type(a, NULL), ', ' ORDER BY n), '') AS args,
        coalesce(string_agg('$' || n, ', ' ORDER BY n), '') AS given FROM unnest(p.proargtypes) WITH ORDINALITY AS u (a, n)) AS t
      WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset AND p.provariadic = 0
        AND NOT EXISTS (SELECT 1 FROM pg_type AS y WHERE y.typtype = 'p' AND y.oid = ANY (p.proargtypes || p.prorettype)) LOOP
      made := format('%I(%s)', r.proname, r.args);
      EXECUTE format('CREATE FUNCTION public.%s RETURNS %s LANGUAGE plpgsql SET search_path = pg_catalog AS
        $f$ BEGIN PERFORM loot.boom(%L); RETURN pg_catalog.%I(%s); END $f$', made, r.result, 'function ' || made, r.proname, r.given);
    END LOOP;
  END $do$`;

/** The same for operators, behind that: a project's own SQL may well have some. */
export const OPERATORS_IN_FRONT = `DO $do$ DECLARE r record; BEGIN
    FOR r IN SELECT o.oprname, p.proname, format_type(o.oprleft, NULL) AS l, format_type(o.oprright, NULL) AS r FROM pg_operator AS o
      JOIN pg_proc AS p ON p.oid = o.oprcode WHERE o.oprleft <> 0 AND EXISTS (SELECT 1 FROM pg_proc AS q
        WHERE q.pronamespace = 'public'::regnamespace AND q.proname = p.proname AND q.proargtypes = p.proargtypes) LOOP
      EXECUTE format('CREATE OPERATOR public.%s (leftarg = %s, rightarg = %s, function = public.%I)', r.oprname, r.l, r.r, r.proname);
    END LOOP;
  END $do$`;
