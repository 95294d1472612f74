import type { UmzugStorage } from 'umzug';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { PACKAGE_VERSION } from '../package.js';
import { fingerprint, type Step } from '../steps/step.js';
import { compareVersions, parseVersion } from '../version.js';
import type { Ledger } from './ledger.js';
import {
  type CreatedObject,
  EXTERNAL,
  insert,
  OBJECTS,
  type Place,
  STEPS,
  type StepRecord,
} from './records.js';
import { LEDGER_TABLES as T } from './tables.js';

/** Tables with rows of a backfill. */
const BACKFILL_TABLES: readonly string[] = [
  ...[T.tables, T.verifications, T.skips, T.recorded, T.cells, T.batches, T.ranges, T.runs],
  ...[T.declarations, T.kept],
];

/** The ledger's steps, and what they made. */
export function stepsIn({ store, rows, drop, timestamp }: Place) {
  /** All steps that were begun, by name in code unit order. */
  const steps = async (): Promise<StepRecord[]> =>
    (await rows(STEPS, '')).sort((a, b) => (a.name < b.name ? -1 : 1));

  async function countObjects(step: string, change: number): Promise<void> {
    await store.run(`UPDATE ${T.steps} SET object_count = object_count + ? WHERE name = ?`, change, step);
  }

  return {
    steps,

    /** One step, or undefined when it was never begun. */
    step: async (name: string): Promise<StepRecord | undefined> =>
      (await rows(STEPS, 'WHERE name = ?', name))[0],

    /** Notes that a step is being applied, making the ledger where there is none. */
    async beginStep(step: Pick<StepRecord, 'name' | 'kind' | 'fingerprint'>): Promise<void> {
      await store.dialect.ledger.make(store);
      await store.run(
        `INSERT INTO ${T.steps} (name, kind, status, fingerprint, package_version, started_at, object_count)
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
    async deleteStep(name: string): Promise<void> {
      for (const table of [...store.dialect.ledger.batchTables, ...BACKFILL_TABLES])
        await store.run(`DELETE FROM ${table} WHERE backfill = ?`, name);
      await store.run(`DELETE FROM ${T.objects} WHERE step = ?`, name);
      await store.run(`DELETE FROM ${T.steps} WHERE name = ?`, name);
      if ((await steps()).length === 0) await drop();
    },

    // What schema steps made

    /** What a schema step made. */
    objects: async (step: string): Promise<CreatedObject[]> =>
      await rows(OBJECTS, 'WHERE step = ? ORDER BY kind, name', step),

    /** Notes that a step made an object. */
    async addObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      await countObjects(
        step,
        await insert(store, T.objects, { step, kind, name }, 'ON CONFLICT DO NOTHING'),
      );
    },

    /** Forgets one object of a step. */
    async removeObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      const sql = `DELETE FROM ${T.objects} WHERE step = ? AND kind = ? AND name = ?`;
      await countObjects(step, -(await store.run(sql, step, kind, name)));
    },

    /** What is wrong between the steps and the objects that they made, a sentence each. */
    async objectInconsistencies(): Promise<string[]> {
      return (
        await store.pluck<string>(
          `SELECT s.name FROM ${T.steps} AS s LEFT JOIN ${T.objects} AS o ON o.step = s.name
          GROUP BY s.name HAVING s.object_count <> count(o.name)
          UNION SELECT step FROM ${T.objects} WHERE step NOT IN (SELECT name FROM ${T.steps}) ORDER BY 1`,
        )
      ).map((name) => `what ${name} made does not match its row`);
    },
  };
}

// The ledger as umzug's storage. What writes runs inside its caller's transaction.

/**
 * umzug's view of the ledger, for this package's own flow: every step in it writes its own rows.
 *
 * Each step writes its own ledger rows inside its transactions, so that logging is a check, not a write: umzug calls
 * it in a second transaction, and a kill between the two would run the step again.
 *
 * A step that a kill has left half applied or half reverted is pending for `up` and executed for `down`, so that
 * either goes on with it.
 *
 * @param direction what umzug is about to do
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

/** Insists that a step's row is as the step has left it. */
function requireStepState(isAsExpected: boolean, name: string): void {
  if (isAsExpected) return;
  throw new BackfillError(
    'RUN_CONFLICT',
    msg('Another process has changed the ledger row of {name} meanwhile', { name }),
    msg('Wait until it has ended, then run the same command again'),
  );
}

/**
 * Names of what counts as executed in somebody's own Umzug: external migrations, and steps of ours. A step that is half applied, or not
 * verified, is pending for `up` and executed for `down`, so that either continues with it; one that is half reverted is executed for both,
 * so that `down` finishes first.
 *
 * @param direction what umzug is about to do
 */
export async function executedNames(ledger: Ledger, direction: 'up' | 'down'): Promise<string[]> {
  return (
    await filterEach(
      await ledger.steps(),
      async ({ name, status }) =>
        direction === 'down' ||
        status === 'reverting' ||
        (status === 'applied' && !(await ledger.isUnverified(name))),
    )
  ).map(({ name }) => name);
}

/** Notes that a migration is executed. A step of ours has written its row itself; a name that is there is no error. */
export async function logMigration(ledger: Ledger, name: string): Promise<void> {
  const record = await ledger.step(name);
  if (record) {
    requireStepState(record.status === 'applied', name);
    return;
  }
  await ledger.beginStep({ name, kind: EXTERNAL, fingerprint: '' }); // there is no declaration to take one of
  await ledger.finishStep(name, 0);
}

/** Notes that a migration is not executed any more. A step of ours has removed its row itself; none is no error. */
export async function unlogMigration(ledger: Ledger, name: string): Promise<void> {
  const record = await ledger.step(name);
  if (!record) return;
  requireStepState(record.kind === EXTERNAL, name);
  await ledger.deleteStep(name);
}

/** A difference between the steps on disk and those in the ledger. */
export interface Drift {
  readonly step: string;
  readonly kind: 'changed' | 'inserted' | 'gone';
  /** What is wrong, in one sentence. */
  readonly text: string;
}

/**
 * Finds applied steps that have changed since or whose file is gone, and pending ones before an applied one. Migrations
 * that only umzug's storage has in the ledger are nobody's steps here.
 */
export function findDrift(steps: readonly Step[], records: readonly StepRecord[]): Drift[] {
  const known = new Map(records.map((record) => [record.name, record]));
  const own = records.filter(({ kind }) => kind !== EXTERNAL);
  const lastApplied = own.filter(({ status }) => status === 'applied').at(-1)?.name;
  const drifts: Drift[] = [];
  for (const step of steps) {
    const record = known.get(step.name);
    if (record && record.fingerprint !== fingerprint(step)) {
      const text =
        record.status === 'applying'
          ? `The step ${step.name} has changed since it was begun`
          : `The step ${step.name} has changed since it was applied`;
      drifts.push({ step: step.name, kind: 'changed', text });
    }
    if (!record && lastApplied !== undefined && step.name < lastApplied) {
      const text = `The step ${step.name} is new, but sorts before ${lastApplied}, which is applied`;
      drifts.push({ step: step.name, kind: 'inserted', text });
    }
  }
  for (const { name, status } of own) {
    if (steps.some((step) => step.name === name)) continue;
    const text =
      status === 'applied'
        ? `The step ${name} is applied, but its file is missing`
        : `The step ${name} is not finished, and its file is missing`;
    drifts.push({ step: name, kind: 'gone', text });
  }
  return drifts;
}

/**
 * Refuses a store on which a newer version of this package has worked: its ledger may say what this one does not know.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`
 */
export function refuseNewerPackage(records: readonly StepRecord[]): void {
  const own = parseVersion(PACKAGE_VERSION);
  for (const { name, packageVersion } of records) {
    const other = parseVersion(packageVersion);
    if (!own || !other || compareVersions(other, own) <= 0) continue;
    throw new BackfillError(
      'PACKAGE_TOO_OLD',
      msg('The step {step} was begun by version {other} of this package, and this is {own}', {
        step: name,
        other: packageVersion,
        own: PACKAGE_VERSION,
      }),
      msg('Deploy that version, or a newer one: npm install umzug-backfill@{version}', {
        version: packageVersion,
      }),
    );
  }
}

/**
 * Refuses any drift.
 *
 * @param hint what to do about it
 * @throws {BackfillError} `STEP_DRIFTED` naming the first
 */
export function refuseDrift(
  drifts: readonly Drift[],
  hint = 'Put the step files back as they were applied, or run it again without --strict',
): void {
  const first = drifts[0];
  if (first) throw new BackfillError('STEP_DRIFTED', first.text, hint);
}
