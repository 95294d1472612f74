import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as api from '../../src/index.js';
import { type Copy, openWith } from './other-sqlite.js';

// An application that has the store open through another copy of SQLite, and runs a step: `node beside-app.js APP`. It prints what it saw, as JSON.

/** What the application does. */
export interface App {
  readonly path: string;
  /** Default: only this package's copy is loaded. */
  readonly copy?: Copy | undefined;
  readonly direction: 'up' | 'down';
  /** The file of the step. Default: the shop's step, which is data. */
  readonly file?: string;
  /** Whether the file is passed on. Default true. */
  readonly passesFile?: boolean;
  /** Another file that is passed on. */
  readonly otherFile?: string;
  readonly options?: Partial<api.BackfillStepOptions>;
  /** Whether the listener throws at the first batch. Default false. */
  readonly throws?: boolean;
  /** A file that is written once the step has been told to stop, as soon as it has begun. Default: it is not stopped. */
  readonly stopped?: string;
  /** Whether it has a transaction open until the step waits for it. Default false. */
  readonly holds?: boolean;
  /** Whether processes can be started. Default true. */
  readonly canStart?: boolean;
}

/** What it saw. */
export interface Seen {
  /** Whether this package's better-sqlite3 was loaded in the end. */
  readonly isOursLoaded: boolean;
  readonly events: readonly string[];
  readonly error?: { readonly [Name in 'name' | 'code' | 'message' | 'hint' | 'cause']?: string };
  /** What another process came to that tried to write while the application had a transaction open. */
  readonly rival?: string;
}

/** Tries to write at once, in another process. */
const RIVAL = `
  const db = new (require('better-sqlite3'))(process.argv[1], { timeout: 0 });
  const hasLedger = db.prepare("SELECT 1 FROM sqlite_schema WHERE name LIKE 'umzug%'").get() !== undefined;
  try { db.exec('BEGIN IMMEDIATE'); console.log('wrote'); } catch ({ code }) { console.log(hasLedger ? 'the step wrote' : code); }`;

/** Name of the step. */
export const STEP = '002-order-times';

/** A step that is data alone. */
export const DATA = api.defineBackfill({
  table: 'events',
  key: 'id',
  scope: `kind = 'order'`,
  columns: { ordered_at: api.firstOf('body', ['ordered_at', 'ts'], 'created_at') },
});

function isOursLoaded(): boolean {
  const report = process.report?.getReport() as unknown as { readonly sharedObjects: readonly string[] };
  const ours = fileURLToPath(new URL('../../../node_modules/better-sqlite3/', import.meta.url));
  return report.sharedObjects.some((path) => path.startsWith(ours));
}

/** Waits until a command has the run lock: it has planned its work by then, for which it has opened the store and closed it again. */
async function untilLocked(path: string): Promise<void> {
  while (!existsSync(`${path}.lock`)) await sleep(5);
}

async function run(app: App): Promise<Seen> {
  const { path, copy, direction, file, passesFile = true, otherFile = file, options, stopped } = app;
  const db = copy && openWith(copy, path, dirname(path));
  if (app.canStart === false) process.execPath = '/nowhere/node';
  const backfill: api.BackfillDefinition = file ? (await import(pathToFileURL(file).href)).default : DATA;
  let aborted = false;
  const signal: api.AbortSignalLike = {
    get aborted() {
      return aborted;
    },
    get reason() {
      if (stopped) setImmediate(() => writeFileSync(stopped, '')); // the message that tells it is sent by then
      return 'SIGTERM';
    },
  };
  const events: string[] = [];
  let rival: string | undefined;
  const step = api.backfillStep({
    ...{ name: STEP, database: path, backfill, batchRows: 10, signal },
    ...(otherFile !== undefined && passesFile && { file: pathToFileURL(otherFile) }),
    ...options,
    onEvent(told) {
      if (told.event === 'throttled' || told.event === 'store_busy') return; // by time
      events.push('batch' in told ? `${told.event} ${told.batch}` : told.event);
      if (told.event === 'run_started') aborted = stopped !== undefined;
      if (told.event === 'batch_committed' && app.throws) throw new RangeError('by the listener');
    },
  });
  try {
    if (app.holds) db?.exec(`BEGIN IMMEDIATE; UPDATE events SET kind = 'held' WHERE id = ${HELD}`);
    const done = step[direction]();
    if (app.holds) {
      await Promise.race([done, untilLocked(path)]);
      rival = spawnSync(process.execPath, ['-e', RIVAL, path], { encoding: 'utf8' }).stdout.trim();
      db?.exec('COMMIT');
    }
    await done;
    return { isOursLoaded: isOursLoaded(), events, ...(rival !== undefined && { rival }) };
  } catch (thrown) {
    const { name, code, message, hint, cause } = thrown as Error & { code?: string; hint?: string };
    const error = { name, code, message, hint, ...(cause ? { cause: String(cause) } : {}) } as Seen['error'];
    return { isOursLoaded: isOursLoaded(), events, ...(error && { error }) };
  }
}

/** The row that the application holds, and takes out of the step's scope. */
export const HELD = 45;

const [, script = '', app] = process.argv;
if (script.endsWith('beside-app.js') && app !== undefined)
  console.log(JSON.stringify(await run(JSON.parse(app))));
