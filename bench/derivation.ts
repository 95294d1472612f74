import backfill from '../backfills/v021-2-decision-fields.js';
import { sqliteConnector } from '../src/engine/sqlite/dialect.js';

// Runs the derivation of all rows in scope, or seven bare `->>` on the same rows, on a connection with this package's settings. Prints the
// time of the statement alone.

const [path = '', name] = process.argv.slice(2);
const scope = `event_type LIKE '%SUPERVISOR%'`;
const names = [
  ...['source_event_ts', 'source_ts', 'event_timestamp', 'task_created_at'],
  ...['supervisor_processed_at', 'processed_at', 'timestamp'],
];
const store = await sqliteConnector(path).open({ access: 'read' });
const { select } = await store.dialect.derive(store, { ...backfill, name: 'benchmark' });
const statement =
  name === 'ours'
    ? `SELECT count(v0), count(v1), count(failure) FROM (${select({ where: scope })})`
    : `SELECT ${names.map((one) => `count(payload ->> '$.${one}')`).join(', ')} FROM task_audits WHERE ${scope}`;
const [startedAt, before] = [performance.now(), process.cpuUsage()];
await store.get(statement);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ seconds: (performance.now() - startedAt) / 1000, cpu: (user + system) / 1e6 }));
await store.close();
