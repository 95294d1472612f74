import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { generateStore } from './store-generator.js';

/** Makes an AgentOS v20 store, brings it to v21 by the command line, and shows what that is good for. */

const AUDITS = 100_000;

const root = fileURLToPath(new URL('../../', import.meta.url)); // from dist/demo/
const folder = join(root, '.demo');
const path = join(folder, 'store.db');

/** The lag of supervisor decisions as v20 must ask for it: every payload is parsed. */
const LAG_V20 = `SELECT (julianday(payload ->> '$.supervisor_processed_at') - julianday(payload ->> '$.source_event_ts')) * 86400
  FROM task_audits WHERE event_type LIKE '%SUPERVISOR%' AND CASE WHEN json_valid(payload) AND typeof(payload) = 'text'
    THEN payload ->> '$.source_event_ts' LIKE '20__-%' AND payload ->> '$.supervisor_processed_at' LIKE '20__-%' END`;

/** The same as v21 asks for it: an index answers, and rows that name their times otherwise count too. */
const LAG_V21 = `SELECT (julianday(supervisor_processed_at) - julianday(source_event_ts)) * 86400 FROM task_audits
  WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL
    AND source_event_ts LIKE '20__-%' AND supervisor_processed_at LIKE '20__-%'`;

function showLag(title: string, sql: string): void {
  const db = new Database(path, { readonly: true });
  const startedAt = performance.now();
  const lags = (db.prepare(sql).pluck().all() as (number | null)[])
    .filter((lag) => lag !== null)
    .sort((a, b) => a - b);
  const ms = performance.now() - startedAt;
  db.close();
  const at = (share: number): string => (lags[Math.ceil(share * lags.length) - 1] ?? 0).toFixed(3);
  console.log(
    `${title}: ${lags.length.toLocaleString('en-US')} decisions, p50 ${at(0.5)} s, p95 ${at(0.95)} s, max ${at(1)} s (asked in ${ms.toFixed(0)} ms)`,
  );
}

/** Runs the command line as a person would. */
function migrate(...args: readonly string[]): void {
  console.log(`\n$ npm run migrate -- ${args.join(' ')} --db-path ${path}`);
  const bin = join(root, 'dist/src/cli/bin.js');
  const { status } = spawnSync(process.execPath, [bin, ...args, '--db-path', path, '--log-level', 'warn'], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))),
      npm_lifecycle_event: 'migrate', // so that hints are for a person in this folder
    },
  });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with exit code ${status}`);
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
console.log(`Making an AgentOS v20 store with ${AUDITS.toLocaleString('en-US')} audits ...`);
generateStore({ path, audits: AUDITS });
showLag('\nLag before, parsed from JSON', LAG_V20);
migrate('up');
migrate('status');
showLag('\nLag after, from the v21 columns', LAG_V21);
console.log(
  'More decisions than before, since rows whose payload names their times otherwise count as well.',
);
console.log(`\nThe store is at ${path}`);
console.log(`Take it back with: npm run migrate -- down --to 0 --yes --db-path ${path}`);
console.log(`Or go back to the backup made before it: npm run migrate -- restore --db-path ${path}`);
