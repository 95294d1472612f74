import { reader } from './checked.js';
import type { CreatedObject, Place, StepRecord } from './records.js';
import { LEDGER_TABLES as T } from './tables.js';
import { PACKAGE_VERSION } from './version.js';

const STEPS = reader<StepRecord>(T.steps, {
  name: 'text',
  kind: 'text',
  status: ['applying', 'applied', 'reverting'],
  fingerprint: 'text',
  packageVersion: 'text',
  startedAt: 'text',
  appliedAt: ['text', null],
  durationMs: 'count',
  revertedCells: 'count',
  keptCells: 'count',
});
const OBJECTS = reader<CreatedObject>(T.objects, { kind: ['column', 'index', 'version'], name: 'text' });

/** Tables with rows of a step, each with the column of its name. */
const TABLES_OF_STEP: readonly (readonly [table: string, column: string])[] = [
  ...[T.tables, T.verifications, T.skips, T.recorded, T.cells, T.batches, T.ranges, T.runs].map(
    (table) => [table, 'backfill'] as const,
  ),
  ...[T.declarations, T.kept].map((table) => [table, 'backfill'] as const),
  [T.objects, 'step'],
  [T.steps, 'name'],
];

/** The ledger's steps, and what they made. */
export function stepsIn({ store, exists, drop, timestamp }: Place) {
  /** All steps that were begun, by name in code unit order. */
  async function steps(): Promise<StepRecord[]> {
    if (!(await exists())) return [];
    return (await STEPS.all(store, '')).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async function countObjects(step: string, change: number): Promise<void> {
    await store.run(`UPDATE ${T.steps} SET objects = objects + ? WHERE name = ?`, change, step);
  }

  return {
    steps,

    /** One step, or undefined when it was never begun. */
    async step(name: string): Promise<StepRecord | undefined> {
      return (await steps()).find((step) => step.name === name);
    },

    /** Notes that a step is being applied, making the ledger where there is none. */
    async beginStep(step: Pick<StepRecord, 'name' | 'kind' | 'fingerprint'>): Promise<void> {
      await store.dialect.ledger.make(store);
      await store.run(
        `INSERT INTO ${T.steps} (name, kind, status, fingerprint, package_version, started_at, objects)
        VALUES (?, ?, 'applying', ?, ?, ?, (SELECT count(*) FROM ${T.objects} WHERE step = ?))
        ON CONFLICT (name) DO UPDATE SET status = 'applying', fingerprint = excluded.fingerprint, kept_cells = 0,
          reverted_cells = 0`,
        step.name,
        step.kind,
        step.fingerprint,
        PACKAGE_VERSION,
        timestamp(),
        step.name,
      );
      await store.run(`DELETE FROM ${T.kept} WHERE backfill = ?`, step.name); // of a `down` that was stopped
    },

    /** Notes that a step is applied. */
    async finishStep(name: string, durationMs: number): Promise<void> {
      await store.run(
        `UPDATE ${T.steps} SET status = 'applied', applied_at = ?, duration_ms = duration_ms + ?
        WHERE name = ? AND status = 'applying'`,
        timestamp(),
        Math.round(durationMs),
        name,
      );
    },

    /** Notes that a step is being reverted. */
    async beginRevert(name: string): Promise<void> {
      await store.run(`UPDATE ${T.steps} SET status = 'reverting' WHERE name = ?`, name);
    },

    /** Adds to a revert's counts. */
    async countReverted(name: string, reverted: number, kept: number): Promise<void> {
      await store.run(
        `UPDATE ${T.steps} SET reverted_cells = reverted_cells + ?, kept_cells = kept_cells + ? WHERE name = ?`,
        reverted,
        kept,
        name,
      );
    },

    /** Forgets a step and all that belongs to it; with the last step the ledger itself goes. */
    async forgetStep(name: string): Promise<void> {
      const own = store.dialect.ledger.batchTables.map((table) => [table, 'backfill'] as const);
      for (const [table, column] of [...own, ...TABLES_OF_STEP])
        await store.run(`DELETE FROM ${table} WHERE ${column} = ?`, name);
      if ((await steps()).length === 0) await drop();
    },

    // What schema steps made

    /** What a schema step made. */
    async objects(step: string): Promise<CreatedObject[]> {
      return (await exists()) ? await OBJECTS.all(store, 'WHERE step = ? ORDER BY kind, name', step) : [];
    },

    /** Notes that a step made an object. */
    async addObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      const sql = `INSERT INTO ${T.objects} (step, kind, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`;
      await countObjects(step, await store.run(sql, step, kind, name));
    },

    /** Forgets one object of a step. */
    async removeObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      const sql = `DELETE FROM ${T.objects} WHERE step = ? AND kind = ? AND name = ?`;
      await countObjects(step, -(await store.run(sql, step, kind, name)));
    },

    /** What is wrong between the steps and the objects that they made, a sentence each. */
    async objectContradictions(): Promise<string[]> {
      return (
        await store.pluck<string>(
          `SELECT s.name FROM ${T.steps} AS s LEFT JOIN ${T.objects} AS o ON o.step = s.name
          GROUP BY s.name HAVING s.objects <> count(o.name)
          UNION SELECT step FROM ${T.objects} WHERE step NOT IN (SELECT name FROM ${T.steps}) ORDER BY 1`,
        )
      ).map((name) => `what ${name} made does not match its row`);
    },
  };
}
