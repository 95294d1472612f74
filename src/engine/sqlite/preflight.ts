import { type ExecFileException, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Store } from '../../db/connection.js';
import { isSameName, noUpdateSql } from '../../db/sql.js';
import { unsafeUse } from '../../engine-errors.js';
import { BackfillError } from '../../errors.js';
import { type Message, msg } from '../../messages/message.js';
import { noStatement } from '../../steps/schema-steps.js';
import type { Dialect } from '../dialect.js';
import { creatingText, objectText, reverseStatements, schemaBlocked } from '../schema.js';
import { tableColumns, updateTriggers } from './inspect.js';
import type { SchemaType, Trial, TrialResult } from './trial-process.js';
import { schemaObjects, tampered } from './trust.js';

/** Maximum time of a trial, in milliseconds. A schema of 3,000 triggers takes a second. */
const LIMIT_MS = 10_000;

/** Maximum memory of a trial's process, in bytes. A schema of 3,000 objects takes 80 MiB. */
const LIMIT_BYTES = 300 * 2 ** 20;

/**
 * Results of this process's trials, by a hash of the input: many stores have one schema, and a command tries it before and under
 * the lock.
 */
const RESULTS = new Map<string, TrialResult>();

/** Maximum number of remembered results. */
const MAX_RESULTS = 100;

/**
 * Tries statements on a copy of the store's schema, in a child process, which can be killed.
 *
 * @throws {BackfillError} `SCHEMA_TAMPERED`, `SCHEMA_TRIAL_FAILED`
 */
async function tryOut(store: Store, statements: Omit<Trial, 'objects'>): Promise<TrialResult> {
  const input = JSON.stringify({ objects: await schemaObjects(store), ...statements } satisfies Trial);
  const hash = createHash('sha256').update(input).digest('base64');
  const result = RESULTS.get(hash) ?? (await tryInProcess(input));
  if (result.ended === 'tampered') throw tampered(result.object);
  if (RESULTS.size >= MAX_RESULTS) RESULTS.clear();
  RESULTS.set(hash, result);
  return result;
}

async function tryInProcess(input: string): Promise<TrialResult> {
  const script = fileURLToPath(new URL('./trial-process.js', import.meta.url));
  const running = promisify(execFile)(
    process.execPath,
    [script, String(LIMIT_MS + 1000), String(LIMIT_BYTES)],
    {
      env: {}, // if this process has dropped root, other users may read the child's environment
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: 2 ** 28,
      windowsHide: true,
    },
  );
  running.child.stdin?.on('error', () => undefined).end(input); // a process that ends early is reported below
  try {
    return JSON.parse((await running).stdout) as TrialResult;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { killed, code, signal, name } = error as ExecFileException;
    throw new BackfillError(
      'SCHEMA_TRIAL_FAILED',
      killed && typeof code !== 'string'
        ? msg("Trying the step on a copy of the store's schema took longer than {seconds} s", {
            seconds: LIMIT_MS / 1000,
          })
        : msg("The process that tries the step on a copy of the store's schema ended early ({code})", {
            code: signal ?? (typeof code === 'number' ? code : name),
          }),
      msg(
        'Inspect the schema if you do not trust its author: sqlite3 -safe STORE .schema; else run the same command again when the machine is less busy; nothing was changed',
      ),
      { cause: error },
    );
  }
}

/** SQLite names the view, trigger or index that a schema change would break. */
const ERROR_IN = /^error in (view|trigger|index|table) (.+?)(?: after .*)?: /;

/** Returns the blocking object, such as `view late_events`, if SQLite names it. */
function culprit(message: string, otherwise: Message = msg('another object')): Message {
  const [, type, name] = ERROR_IN.exec(message) ?? [];
  return type === undefined || name === undefined ? otherwise : objectText(type as SchemaType, name);
}

function blocked(table: string, what: Message, object: Message, message = ''): BackfillError {
  const used = unsafeUse(message)?.used;
  const options = message === '' ? {} : { cause: new Error(message) };
  if (used === undefined) return schemaBlocked(table, what, object, undefined, options);
  return new BackfillError(
    'SCHEMA_BLOCKED',
    msg(
      '{what} on the table {table} is blocked by {object}: it uses {used}, which SQLite rejects in the schema of a file',
      { what, table, object, used },
    ),
    msg('Drop {object}, run the same command again, then recreate it; nothing was changed', { object }),
    options,
  );
}

/** Tries a schema step on a copy of the schema: forward, a no-op UPDATE of its columns, and back. See the `Dialect`. */
export const preflightUp: Dialect['preflightUp'] = async (store, step, plan, made) => {
  const { table } = step;
  const generated = (await tableColumns(store, table)).find(
    ({ name, isGenerated }) => isGenerated && step.columns.some((column) => isSameName(column.name, name)),
  );
  if (generated) throw blocked(table, msg('Filling'), objectText('generated column', generated.name));
  const statements = [...plan.first, ...plan.indexes].map(({ sql, creates }) => ({ sql, ...creates }));
  const result = await tryOut(store, {
    table,
    forward: statements.filter(({ kind }) => kind !== 'version'),
    columns: step.columns.map(({ name }) => name),
    reverse: reverseStatements(step, [...made, ...statements]),
  });
  if (result.ended === 'forward') {
    const { failed, clash, message } = result;
    const other = clash && msg('another {kind} named {name}', { kind: msg(clash), name: failed.name });
    throw blocked(table, creatingText(failed), culprit(message, other), message);
  }
  refuseUpdate(table, result);
  return result.ended === 'reverse'
    ? [msg('`down` will be blocked by {object}', { object: culprit(result.message) })]
    : [];
};

/** Tries the statements of `down` on a copy of the schema. See the `Dialect`. */
export const preflightDown: Dialect['preflightDown'] = async (store, step, objects) => {
  const { table } = step;
  const reverse = reverseStatements(step, objects);
  const result = await tryOut(store, { table, forward: [], columns: [], reverse });
  if (result.ended === 'reverse')
    throw blocked(table, msg('`down`'), culprit(result.message), result.message);
};

/**
 * Returns why columns of a table cannot be updated, or undefined. Statements that compile triggers are tried on a copy of the
 * schema first, because malicious ones can take very long.
 */
export const updateError: Dialect['updateError'] = async (store, table, columns) => {
  if ((await updateTriggers(store, table, columns)).length > 0)
    refuseUpdate(table, await tryOut(store, { table, forward: [], columns, reverse: [] }));
  return await store.compileError(noUpdateSql(table, columns));
};

function refuseUpdate(table: string, result: TrialResult): void {
  if (result.ended !== 'update') return;
  const { trigger, message } = result;
  const object = trigger === undefined ? msg('another object') : objectText('trigger', trigger);
  throw blocked(table, msg('An UPDATE'), object, message);
}

/** Refuses an SQL step with a text that does not compile (`STEP_INVALID`). Files that cannot be written are refused on open. */
export const checkStep: Dialect['checkStep'] = async (store, step) => {
  if (step.kind !== 'sql') return;
  for (const sql of [...step.up, ...(step.down ?? [])]) {
    const error = await store.compileError(sql);
    if (error instanceof RangeError) throw noStatement(step.name, sql, error);
  }
};
