import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { App, Seen } from './beside-app.js';
import { type CliResult, root, runCommand } from './cli.js';
import { linkModules } from './link-package.js';
import { copyBetterSqlite } from './other-sqlite.js';
import { withColumn } from './run-adopted.js';
import { hasLedger, withShop } from './shop.js';
import { dumpSchema, dumpTable, query } from './stores.js';

// What the tests of steps beside another copy of SQLite run, and compare.

/** Runs the application of beside-app.ts until it and all that it has started have ended. */
export const startApp = (app: App): Promise<CliResult> =>
  runCommand([process.execPath, join(root, 'dist/test/support/beside-app.js'), JSON.stringify(app)]);

/** Runs the application, insists that it ends by itself, and returns what it saw. */
export async function runApp(app: App): Promise<Seen> {
  const { code, stdout, stderr } = await startApp(app);
  expect(code, stdout + stderr).to.equal(0);
  return JSON.parse(stdout.split('\n').at(-2) ?? '');
}

/** Everything in the store but times and durations. */
export function contentsOf(path: string): object {
  const schema = { schema: dumpSchema(path), events: dumpTable(path, 'events') };
  if (!hasLedger(path)) return schema;
  const rows = (table: string, columns: string): string[] =>
    query(path, `SELECT json_array(${columns}) FROM umzug_backfill_${table} ORDER BY 1`);
  return {
    ...schema,
    steps: rows('steps', 'name, kind, status, fingerprint'),
    ranges: rows('ranges', 'start_key, end_key, cursor, is_done, batches, rows_scanned, cells_filled'),
    batches: rows('batches', 'number, first_key, last_key, rows_scanned, cells_filled, cells_skipped'),
    cells: rows('cells', 'batch, columns, evidence, first_key, hex(keys)'),
    verdicts: rows('verifications', 'verdict'),
  };
}

/** A step file in a project of its own, with a function. `extra` is run as it is loaded, `derive` for each row. */
export function stepFile(folder: string, { name = 'step.mjs', extra = '', derive = '' } = {}): string {
  if (!existsSync(join(folder, 'node_modules/umzug-backfill'))) linkModules(folder);
  const file = join(folder, name);
  writeFileSync(
    file,
    `import { defineBackfill } from 'umzug-backfill';
    ${extra}
    export default defineBackfill({
      table: 'events', key: 'id', reads: ['body'], columns: ['ordered_at'],
      process: (rows) => rows.map(({ body }) => { ${derive} return { ordered_at: JSON.parse(body).ts }; }),
    });`,
  );
  return file;
}

/** Code of a step file for the child process alone: `wait()` waits a little, `gone()` for the end of the application. */
const inChild = (listener: string): string => `
  import { subscribe } from 'node:diagnostics_channel';
  import { existsSync } from 'node:fs';
  let batches = 0;
  const application = process.ppid;
  const wait = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  const gone = () => { while (process.ppid === application) wait(); };
  if (process.connected) subscribe('umzug-backfill:failpoint', ({ at, detail }) => {
    const isBatch = at === 'statement' && detail.trimStart().startsWith('INSERT INTO umzug_backfill_batches');
    if (isBatch) batches += 1;
    ${listener}
  });`;

/** Code of a step file that runs `act` in the child process, in the transaction of the nth batch. */
export const inBatch = (nth: number, act: string): string =>
  inChild(`if (isBatch && batches === ${nth}) { ${act} }`);

/** Code of a step file that runs `act` in the child process, after the COMMIT of the first batch. */
export const afterBatch = (act: string): string =>
  inChild(`if (at === 'commit' && batches === 1) { ${act} }`);

/** Runs `act` on a shop whose folder has a second copy of better-sqlite3, with a copy of the store for an undisturbed run. */
export const withTwo = (
  act: (path: string, undisturbed: string, folder: string) => Promise<void>,
): Promise<void> =>
  withShop(async (path, folder) => {
    copyBetterSqlite(folder);
    const undisturbed = join(folder, 'undisturbed.db');
    copyFileSync(path, undisturbed);
    await act(path, undisturbed, folder);
  }, withColumn);
