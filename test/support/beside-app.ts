import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
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
  /** What it does with the first `batch_committed`. Default: nothing. */
  readonly onBatch?: 'abort' | 'throw' | 'hold';
  /** Whether processes can be started. Default true. */
  readonly canStart?: boolean;
}

/** What it saw. */
export interface Seen {
  readonly events: readonly string[];
  readonly error?: { readonly [Name in 'name' | 'code' | 'message' | 'hint' | 'cause']?: string };
  /** Whether, while it had a transaction open, another process could write. */
  readonly rival?: string;
}

/** Tries to write at once, in another process. */
const RIVAL = `
  const db = new (require('better-sqlite3'))(process.argv[1], { timeout: 0 });
  try { db.exec('BEGIN IMMEDIATE'); console.log('wrote'); } catch ({ code }) { console.log(code); }`;

/** A step that is data alone. */
export const DATA = api.defineBackfill({
  table: 'events',
  key: 'id',
  scope: `kind = 'order'`,
  columns: { ordered_at: api.firstOf('body', ['ordered_at', 'ts'], 'created_at') },
});

async function run(app: App): Promise<Seen> {
  const { path, copy, direction, file, passesFile = true, otherFile = file, options, onBatch } = app;
  const db = copy && openWith(copy, path, dirname(path));
  if (app.canStart === false) process.execPath = '/nowhere/node';
  const backfill: api.BackfillDefinition = file ? (await import(pathToFileURL(file).href)).default : DATA;
  const stopper = new AbortController();
  const events: string[] = [];
  let [batches, rival] = [0, undefined as string | undefined];
  const step = api.backfillStep({
    ...{ name: '002-order-times', database: path, backfill, batchRows: 10, signal: stopper.signal },
    ...(otherFile !== undefined && passesFile && { file: pathToFileURL(otherFile) }),
    ...options,
    onEvent(told) {
      events.push('batch' in told ? `${told.event} ${told.batch}` : told.event);
      if (told.event === 'batch_committed') batches += 1;
      if (told.event === 'batch_committed' && batches === 1) {
        if (onBatch === 'abort') stopper.abort('SIGTERM');
        if (onBatch === 'throw') throw new RangeError('by the listener');
        if (onBatch === 'hold')
          db?.exec(`BEGIN IMMEDIATE; UPDATE events SET kind = 'held' WHERE id = ${HELD}`);
      }
      if (told.event === 'store_busy' && onBatch === 'hold' && rival === undefined) {
        rival = spawnSync(process.execPath, ['-e', RIVAL, path], { encoding: 'utf8' }).stdout.trim();
        db?.exec('COMMIT');
      }
    },
  });
  try {
    await step[direction]();
    return { events, ...(rival !== undefined && { rival }) };
  } catch (thrown) {
    const { name, code, message, hint, cause } = thrown as Error & { code?: string; hint?: string };
    const error = { name, code, message, hint, ...(cause ? { cause: String(cause) } : {}) } as Seen['error'];
    return { events, ...(error && { error }) };
  }
}

/** The row that the application holds: the scope of the step leaves it out from then on. */
export const HELD = 45;

const [, script = '', app] = process.argv;
if (script.endsWith('beside-app.js') && app !== undefined)
  console.log(JSON.stringify(await run(JSON.parse(app))));
