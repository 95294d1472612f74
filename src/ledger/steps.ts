import type { UmzugStorage } from 'umzug';
import { filterEach } from '../each.js';
import { BackfillError } from '../errors.js';

import { english, type Message, msg, withTexts } from '../messages/message.js';

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

/** Returns the ledger's functions for steps and the objects that they created. */
export function stepsIn({ store, rows, drop, timestamp }: Place) {
  /** Returns all started steps, by name in code unit order. */
  const steps = async (): Promise<StepRecord[]> =>
    (await rows(STEPS, '')).sort((a, b) => (a.name < b.name ? -1 : 1));

  async function countObjects(step: string, change: number): Promise<void> {
    await store.run(`UPDATE ${T.steps} SET object_count = object_count + ? WHERE name = ?`, change, step);
  }

  return {
    steps,

    /** Returns a step, or undefined if it was not started. */
    step: async (name: string): Promise<StepRecord | undefined> =>
      (await rows(STEPS, 'WHERE name = ?', name))[0],

    /** Marks a step as being applied. Creates a missing ledger. */
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
      await store.run(`DELETE FROM ${T.kept} WHERE backfill = ?`, step.name); // left over from an interrupted `down`
    },

    /** Marks a step as applied. */
    async finishStep(name: string, durationMs: number): Promise<void> {
      await store.run(
        `UPDATE ${T.steps} SET status = 'applied', applied_at = ?, duration_ms = duration_ms + ?
        WHERE name = ? AND status = 'applying'`,
        timestamp(),
        Math.round(durationMs),
        name,
      );
    },

    /** Marks a step as being reverted. */
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
      await rows(OBJECTS, 'WHERE step = ? ORDER BY kind, name', step),

    /** Records an object that a step created. */
    async addObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      await countObjects(
        step,
        await insert(store, T.objects, { step, kind, name }, 'ON CONFLICT DO NOTHING'),
      );
    },

    /** Deletes the record of an object. */
    async removeObject(step: string, { kind, name }: CreatedObject): Promise<void> {
      const sql = `DELETE FROM ${T.objects} WHERE step = ? AND kind = ? AND name = ?`;
      await countObjects(step, -(await store.run(sql, step, kind, name)));
    },

    /** Returns a message per step whose objects do not match its row. */
    async objectInconsistencies(): Promise<Message[]> {
      return (
        await store.pluck<string>(
          `SELECT s.name FROM ${T.steps} AS s LEFT JOIN ${T.objects} AS o ON o.step = s.name
          GROUP BY s.name HAVING s.object_count <> count(o.name)
          UNION SELECT step FROM ${T.objects} WHERE step NOT IN (SELECT name FROM ${T.steps}) ORDER BY 1`,
        )
      ).map((step) => msg('The objects of {step} do not match its row', { step }));
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

/** Records that a migration is executed, unless it is recorded already: our steps write their own rows. */
export async function logMigration(ledger: Ledger, name: string): Promise<void> {
  const record = await ledger.step(name);
  if (record) {
    requireStepState(record.status === 'applied', name);
    return;
  }
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

/** A difference between the steps on disk and those in the ledger. */
export interface Drift {
  readonly step: string;
  readonly kind: 'changed' | 'inserted' | 'gone';
  /** The difference, in one English sentence. */
  readonly text: string;
  /** The text as data, for other languages. Not enumerable. */
  readonly texts: { readonly text: Message };
}

const drift = (step: string, kind: Drift['kind'], text: Message): Drift =>
  withTexts({ step, kind, text: english(text) }, { text });

/**
 * Finds started steps that have changed since or whose file no longer exists, and pending ones that sort before an applied one. Skips
 * external migrations.
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
          ? msg('The step {step} has changed since it was started', { step: step.name })
          : msg('The step {step} has changed since it was applied', { step: step.name });
      drifts.push(drift(step.name, 'changed', text));
    }
    if (!record && lastApplied !== undefined && step.name < lastApplied) {
      const text = msg('The step {step} is new, but sorts before {other}, which is applied', {
        step: step.name,
        other: lastApplied,
      });
      drifts.push(drift(step.name, 'inserted', text));
    }
  }
  for (const { name, status } of own) {
    if (steps.some((step) => step.name === name)) continue;
    const text =
      status === 'applied'
        ? msg('The step {step} is applied, but its file is missing', { step: name })
        : msg('The step {name} is not finished, and its file is missing', { name });
    drifts.push(drift(name, 'gone', text));
  }
  return drifts;
}

/**
 * Refuses a store on which a newer version of this package has started a step: this one may not understand its rows.
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
      msg('The step {step} was started by version {other} of this package; this is version {own}', {
        step: name,
        other: packageVersion,
        own: PACKAGE_VERSION,
      }),
      msg('Install that version, or a newer one: npm install umzug-backfill@{version}', {
        version: packageVersion,
      }),
    );
  }
}

/** Throws `STEP_DRIFTED` with the first drift, if there is one. */
export function refuseDrift(
  [first]: readonly Drift[],
  hint: Message = msg('Restore the step files as they were applied, or run it again without --strict'),
): void {
  if (first) throw new BackfillError('STEP_DRIFTED', first.texts.text, hint);
}
