import type { UmzugStorage } from 'umzug';
import type { Store } from '../db/connection.js';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { PACKAGE_VERSION } from '../package.js';
import type { Ledger } from './ledger.js';
import {
  type CreatedObject,
  EXTERNAL,
  form,
  insert,
  objectRows,
  type Place,
  type RowOf,
  reader,
  type StepRecord,
  stepRows,
  upsert,
} from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

/** Tables with rows of a backfill. */
const BACKFILL_TABLES: readonly string[] = [
  ...[T.tables, T.verifications, T.skips, T.recorded, T.cells, T.batches, T.ranges, T.runs],
  ...[T.declarations, T.kept],
];

const KEPT_REASONS = ['gone', 'underivable'] as const;

type KeptReason = (typeof KEPT_REASONS)[number];

const keptRows = reader(T.kept, { reason: form.oneOf(...KEPT_REASONS), cells: form.count });

/** Returns the ledger's functions for steps and the objects that they created. */
export function stepsIn({ store, rows, drop, timestamp }: Place) {
  /** Returns all started steps, by name in code unit order. */
  const steps = async (): Promise<StepRecord[]> =>
    (await rows(stepRows, '')).sort((a, b) => (a.name < b.name ? -1 : 1));

  async function countObjects(step: string, change: number): Promise<void> {
    await store.run(`UPDATE ${T.steps} SET object_count = object_count + ? WHERE name = ?`, change, step);
  }

  return {
    steps,

    /** Returns a step, or undefined if it was not started. */
    step: async (name: string): Promise<StepRecord | undefined> =>
      (await rows(stepRows, 'WHERE name = ?', name))[0],

    /** Marks a step as being applied. Creates a missing ledger. */
    async beginStep(step: Pick<StepRecord, 'name' | 'kind' | 'fingerprint'>): Promise<void> {
      await store.dialect.ledger.make(store);
      const sql = `INSERT INTO ${T.steps}
          (name, kind, status, fingerprint, package_version, started_at, object_count)
        VALUES (?, ?, 'applying', ?, ?, ?, (SELECT count(*) FROM ${T.objects} WHERE step = ?))
        ON CONFLICT (name) DO UPDATE SET status = 'applying', fingerprint = excluded.fingerprint, kept_cells = 0,
          reverted_cells = 0`;
      const { name, kind } = step;
      await store.run(sql, name, kind, step.fingerprint, PACKAGE_VERSION, timestamp(), name);
      await store.run(`DELETE FROM ${T.kept} WHERE backfill = ?`, name); // left over from an interrupted `down`
    },

    /** Marks a step as applied. */
    async finishStep(name: string, durationMs: number): Promise<void> {
      const sql = `UPDATE ${T.steps} SET status = 'applied', applied_at = ?, duration_ms = duration_ms + ?
        WHERE name = ? AND status = 'applying'`;
      await store.run(sql, timestamp(), Math.round(durationMs), name);
    },

    /** Marks a step as being reverted. */
    async beginRevert(name: string): Promise<void> {
      await store.run(`UPDATE ${T.steps} SET status = 'reverting' WHERE name = ?`, name);
    },

    /** Adds to a revert's counts; cells that it keeps for another reason than a change are counted by reason. */
    async countReverted(
      name: string,
      cells: Readonly<Record<'reverted' | 'kept' | KeptReason, number>>,
    ): Promise<void> {
      const counts = 'reverted_cells = reverted_cells + ?, kept_cells = kept_cells + ?';
      await store.run(`UPDATE ${T.steps} SET ${counts} WHERE name = ?`, cells.reverted, cells.kept, name);
      const add = `INSERT INTO ${T.kept} AS k (backfill, reason, cells) VALUES (?, ?, ?)
        ON CONFLICT (backfill, reason) DO UPDATE SET cells = k.cells + excluded.cells`;
      for (const reason of KEPT_REASONS)
        if (cells[reason] !== 0) await store.run(add, name, reason, cells[reason]);
    },

    /** Returns the number of cells that the `down` in progress has kept for another reason than a change, by reason. */
    async keptCells(backfill: string): Promise<Record<KeptReason, number>> {
      const kept = { gone: 0, underivable: 0 };
      for (const { reason, cells } of await keptRows(store, 'WHERE backfill = ?', backfill))
        kept[reason] = cells;
      return kept;
    },

    /** Deletes a step with all its rows. Drops the ledger with the last step. */
    async deleteStep(name: string): Promise<void> {
      for (const table of [...store.dialect.ledger.batchTables, ...BACKFILL_TABLES])
        await store.run(`DELETE FROM ${table} WHERE backfill = ?`, name);
      await store.run(`DELETE FROM ${T.objects} WHERE step = ?`, name);
      await store.run(`DELETE FROM ${T.steps} WHERE name = ?`, name);
      if ((await steps()).length === 0) await drop();
    },

    /** Returns the objects that a schema step created. */
    objects: async (step: string): Promise<CreatedObject[]> =>
      await rows(objectRows, 'WHERE step = ? ORDER BY kind, name', step),

    /** Records an object that a step created. */
    async addObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      const added = await insert(store, T.objects, { step, kind, name }, 'ON CONFLICT DO NOTHING');
      await countObjects(step, added);
    },

    /** Deletes the record of an object. */
    async removeObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      const sql = `DELETE FROM ${T.objects} WHERE step = ? AND kind = ? AND name = ?`;
      await countObjects(step, -(await store.run(sql, step, kind, name)));
    },

    /** Returns a message per step whose objects do not match its row. */
    async objectInconsistencies(): Promise<Message[]> {
      const sql = `SELECT s.name FROM ${T.steps} AS s LEFT JOIN ${T.objects} AS o ON o.step = s.name
        GROUP BY s.name HAVING s.object_count <> count(o.name)
        UNION SELECT step FROM ${T.objects} WHERE step NOT IN (SELECT name FROM ${T.steps}) ORDER BY 1`;
      const names = await store.pluck<string>(sql);
      return names.map((step) => msg('The objects of {step} do not match its row', { step }));
    },
  };
}

/**
 * Returns the ledger as the storage of this package's Umzug.
 *
 * Each step writes its ledger rows inside its transactions. Logging therefore only checks them: umzug logs in a second transaction, and
 * after a kill between the two the step would run again.
 *
 * A step that is half applied or half reverted is pending for `up` and executed for `down`, so that either resumes it.
 *
 * @param direction the command that umzug runs
 */
export function stepStorage(ledger: Ledger, direction: 'up' | 'down'): UmzugStorage {
  return {
    executed: async () =>
      (await ledger.steps())
        .filter(({ status }) => direction === 'down' || status === 'applied')
        .map(({ name }) => name),
    logMigration: async ({ name }) => requireStepState((await ledger.step(name))?.status === 'applied', name),
    unlogMigration: async ({ name }) => requireStepState((await ledger.step(name)) === undefined, name),
  };
}

/** Throws unless a step's row is as the step has left it. */
function requireStepState(isAsExpected: boolean, name: string): void {
  if (isAsExpected) return;
  throw new BackfillError(
    'RUN_CONFLICT',
    msg('Another process has changed the ledger row of {name}', { name }),
    msg('Wait until it has ended, then run the same command again'),
  );
}

/**
 * Returns the names that count as executed in a project's Umzug: external migrations and our steps. A step that is half applied or not
 * verified is pending for `up` and executed for `down`, so that either resumes it. A half-reverted one is executed for both, so that
 * `down` must finish first.
 *
 * @param direction the command that umzug runs
 */
export async function executedNames(ledger: Ledger, direction: 'up' | 'down'): Promise<string[]> {
  const isExecuted = async ({ name, status }: StepRecord): Promise<boolean> =>
    direction === 'down' ||
    status === 'reverting' ||
    (status === 'applied' && !(await ledger.isUnverified(name)));
  return (await filterEach(await ledger.steps(), isExecuted)).map(({ name }) => name);
}

/** Records that a migration is executed, unless it is recorded already: our steps write their own rows. */
export async function logMigration(ledger: Ledger, name: string): Promise<void> {
  const record = await ledger.step(name);
  if (record) return requireStepState(record.status === 'applied', name);
  await ledger.beginStep({ name, kind: EXTERNAL, fingerprint: '' });
  await ledger.finishStep(name, 0);
}

/** Records that a migration is no longer executed. A missing row is not an error: our steps delete their own rows. */
export async function unlogMigration(ledger: Ledger, name: string): Promise<void> {
  const record = await ledger.step(name);
  if (!record) return;
  requireStepState(record.kind === EXTERNAL, name);
  await ledger.deleteStep(name);
}

const declarationRows = reader(T.declarations, {
  firstBatch: form.count,
  /** Fingerprint of the step at that time. */
  fingerprint: form.text,
  /** The declaration as JSON, without its function. */
  declaration: form.text,
  /** Text of its function, or null. */
  process: form.orNull(form.text),
});

/** The declaration that filled the batches of a backfill, from one of them on. */
export type DeclarationRecord = RowOf<typeof declarationRows>;

/** Returns the declarations that filled a backfill, first to last. */
export async function readDeclarations(store: Store, backfill: string): Promise<DeclarationRecord[]> {
  if (!(await store.dialect.hasTable(store, T.declarations))) return [];
  return await declarationRows(store, 'WHERE backfill = ? ORDER BY first_batch', backfill);
}

/** Records the declaration that fills the batches from `firstBatch` on, inside its caller's transaction. */
export const noteDeclaration = async (
  store: Store,
  backfill: string,
  { firstBatch, ...values }: DeclarationRecord,
): Promise<void> => await upsert(store, T.declarations, { backfill, firstBatch }, values);

/**
 * Deletes the declarations that filled no remaining batch, inside its caller's transaction: later batches may get the same numbers.
 */
export async function forgetDeclarations(store: Store, backfill: string, lastBatch: number): Promise<void> {
  const sql = `DELETE FROM ${T.declarations} WHERE backfill = ? AND first_batch > ?`;
  await store.run(sql, backfill, lastBatch + 1); // recorded before the first batch of its run
}

/** Returns the declaration that filled a batch, or undefined if it is not recorded. */
export const declarationOf = (records: readonly DeclarationRecord[], batch: number) =>
  records.findLast(({ firstBatch }) => firstBatch <= batch);
