import pg from 'pg';
import { column } from './postgres-server.js';

// What a PostgreSQL database holds, as lines of text that two looks at it can be compared by.

/** Every cell of a table, exact as text, by key. */
export async function dumpPgTable(client: pg.ClientBase, table: string): Promise<string[]> {
  const regclass = pg.escapeIdentifier(table);
  const columns = await column(
    client,
    'SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum',
    [regclass],
  );
  const key = await column(
    client,
    `SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
     WHERE indrelid = $1::regclass AND indisprimary ORDER BY array_position(indkey::int2[], attnum)`,
    [regclass],
  );
  const cells = columns.map(
    (name) => `${pg.escapeLiteral(`${name}=`)} || quote_nullable(${pg.escapeIdentifier(name)}::text)`,
  );
  const order = key.length > 0 ? key.map((name) => pg.escapeIdentifier(name)) : ['1'];
  return await column(
    client,
    `SELECT concat_ws(' ', ${cells.join(', ')}) FROM ${regclass} ORDER BY ${order.join(', ')}`,
  );
}

/** What makes up a schema, each as one line; whether a column follows another counts, gaps that dropped ones left do not. */
const schemaQueries = [
  `SELECT concat_ws(' ', 'relation', relname, relkind, relpersistence, 'owner', relowner::regrole, 'rls', relrowsecurity,
     'replica identity', relreplident, 'acl', relacl, 'options', reloptions, obj_description(pg_class.oid, 'pg_class'))
   FROM pg_class WHERE relnamespace = $1::regnamespace`,
  `SELECT concat_ws(' ', 'column', relname, row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname,
     format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END,
     'default ' || pg_get_expr(adbin, adrelid), 'identity ' || nullif(attidentity::text, ''), 'generated ' || nullif(attgenerated::text, ''),
     'collate', nullif(attcollation, 0)::regcollation, 'storage', attstorage, 'compression', nullif(attcompression::text, ''),
     'statistics', attstattarget, 'acl', attacl, 'options', attoptions, col_description(attrelid, attnum))
   FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
   WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND attnum > 0 AND NOT attisdropped`,
  `SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), CASE WHEN NOT indisvalid THEN 'invalid' END)
   FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = $1::regnamespace`,
  `SELECT concat_ws(' ', 'constraint', nullif(conrelid, 0)::regclass, conname, pg_get_constraintdef(oid))
   FROM pg_constraint WHERE connamespace = $1::regnamespace`,
  `SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(pg_trigger.oid), 'enabled', tgenabled)
   FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE relnamespace = $1::regnamespace AND NOT tgisinternal`,
  `SELECT concat_ws(' ', 'rule', pg_get_ruledef(pg_rewrite.oid))
   FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class WHERE relnamespace = $1::regnamespace`,
  `SELECT concat_ws(' ', 'sequence', relname, seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle)
   FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid WHERE relnamespace = $1::regnamespace`,
  `SELECT concat_ws(' ', 'function', pg_get_functiondef(oid))
   FROM pg_proc WHERE pronamespace = $1::regnamespace AND prokind IN ('f', 'p')`,
  `SELECT concat_ws(' ', 'type', typname, typtype) FROM pg_type
   WHERE typnamespace = $1::regnamespace AND typtype IN ('e', 'd', 'r', 'm')`,
  `SELECT concat_ws(' ', 'statistics', pg_get_statisticsobjdef(oid))
   FROM pg_statistic_ext WHERE stxnamespace = $1::regnamespace`,
];

/**
 * The schema with everything in it, sorted: tables, columns with types and defaults, indexes, constraints, triggers, views,
 * sequences, functions. Also the names of all schemas.
 */
export async function dumpPgSchema(client: pg.ClientBase, schema = 'public'): Promise<string[]> {
  const lines = await column(
    client,
    `SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`,
  );
  for (const query of schemaQueries)
    lines.push(...(await column(client, query, [pg.escapeIdentifier(schema)])));
  return lines.sort();
}

/** Schema and every cell of every table of the schema `public`, ours included. */
export async function dumpPgStore(client: pg.ClientBase) {
  const tables: Record<string, string[]> = {};
  const names = await column(
    client,
    `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname`,
  );
  for (const name of names) tables[name] = await dumpPgTable(client, name);
  return { schema: await dumpPgSchema(client), tables };
}
