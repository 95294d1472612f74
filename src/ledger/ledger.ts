import type { Connection, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { english, type Message, msg, withTexts } from '../messages/message.js';
import { PACKAGE_VERSION } from '../package.js';
import { fingerprint, type Step } from '../steps/step.js';
import { compareVersions, parseVersion } from '../version.js';
import { batchesIn, skipsIn } from './batches.js';
import {
  EXTERNAL,
  form,
  insert,
  type Place,
  type RowOf,
  reader,
  type StepRecord,
  upsert,
} from './records.js';
import { runsIn } from './runs.js';
import { stepsIn } from './steps.js';
import { LEDGER_FORMAT, LEDGER_TABLES as T } from './tables.js';

/** The ledger of a store: steps, commands, and runs of backfills. Every write is part of its caller's transaction. */
export interface Ledger extends ReturnType<typeof partsIn> {
  /** Returns the same ledger on a transaction of its store. */
  in(tx: Store): Ledger;
}

function partsIn(place: Place) {
  const runs = runsIn(place);
  const { exists } = place;
  return {
    exists,
    ...stepsIn(place),
    ...commandsIn(place),
    ...runs,
    ...batchesIn(place, runs),
    ...skipsIn(place),
  };
}

/**
 * Returns the ledger of a store. Its tables need not exist yet.
 *
 * @param now clock. Default: the system's
 */
export const openLedger = (store: Store, now: () => Date = () => new Date()): Ledger =>
  ledgerIn(store, now, { range: 0 });

/** @param outer the same ledger outside the transaction `store` */
function ledgerIn(store: Store, now: () => Date, last: Place['last'], outer?: { isKnown: boolean }): Ledger {
  // Not shared with `outer`: a transaction may create the ledger and be rolled back.
  const found = { isKnown: outer?.isKnown ?? false };
  const exists = async (): Promise<boolean> => {
    found.isKnown ||= await store.dialect.hasTable(store, T.steps);
    return found.isKnown;
  };
  const place: Place = {
    store,
    exists,
    rows: async (read, tail, ...parameters) =>
      (await exists()) ? await read(store, tail, ...parameters) : [],
    drop: async () => {
      await store.dialect.ledger.drop(store);
      found.isKnown = false;
      if (outer) outer.isKnown = false;
    },
    timestamp: () => now().toISOString(),
    last,
  };
  return { ...partsIn(place), in: (tx) => ledgerIn(tx, now, last, found) };
}

/** Oldest supported format. In 1, which had no table of the format, and 2, runs had no ranges; in 3 columns had other names. */
const FIRST_FORMAT = 4;

const formatRows = reader(T.format, { version: form.count });

/** Upgrades to the next format, by the current one; none yet. Each runs inside its caller's transaction. */
const UPGRADES: Readonly<Record<number, (store: Store) => Promise<void>>> = {};

/** Returns the format of a store's ledger, or undefined if there is no ledger. */
async function formatOf(store: Store): Promise<number | undefined> {
  if (await store.dialect.hasTable(store, T.format))
    return (await formatRows(store, 'ORDER BY version DESC LIMIT 1'))[0]?.version ?? 1;
  return (await store.dialect.hasTable(store, T.steps)) ? 1 : undefined;
}

/**
 * Refuses a ledger whose format this version of the package does not read, and one that this program did not create.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD`, `LEDGER_UNTRUSTED`
 */
export async function requireKnownFormat(store: Store): Promise<void> {
  await store.dialect.ledger.check(store, [T.format]);
  const found = (await formatOf(store)) ?? LEDGER_FORMAT;
  if (found > LEDGER_FORMAT)
    throw new BackfillError(
      'PACKAGE_TOO_OLD',
      msg(
        'The ledger of this store has format {found}; this version of the package reads formats up to {known}',
        { found, known: LEDGER_FORMAT },
      ),
      msg(
        'Install the version of the package that wrote it, or a newer one: npm install umzug-backfill@latest',
      ),
    );
  if (found < FIRST_FORMAT)
    throw new BackfillError(
      'LEDGER_TOO_OLD',
      msg(
        'The ledger of this store has format {found}; this version of the package reads formats from {known} on',
        { found, known: FIRST_FORMAT },
      ),
      store.files
        ? msg(
            'Restore the backup from before it: umzug-backfill restore; or revert with the version of the package that wrote it: umzug-backfill down --to 0; then run `up` with this one',
          )
        : msg(
            'Revert with the version of the package that wrote it: umzug-backfill down --to 0; then run `up` with this one',
          ),
    );
  await store.dialect.ledger.check(store); // only now: other formats may have other tables
}

/** Upgrades a ledger of an earlier format. Writes nothing if there is none. */
export async function upgradeLedger(store: Connection): Promise<void> {
  const found = await formatOf(store);
  if (found === undefined || found >= LEDGER_FORMAT) return;
  await store.write(async (tx) => {
    for (let format = found; format < LEDGER_FORMAT; format += 1) await UPGRADES[format]?.(tx);
    await tx.run(`UPDATE ${T.format} SET version = ?`, LEDGER_FORMAT);
  });
}

const commandRows = reader(T.commands, {
  number: form.count,
  command: form.oneOf('up', 'down', 'rescan', 'backfill'),
  /** Steps that it would process. */
  steps: form.texts,
  /** Path of the backup created before it, or null. */
  backup: form.orNull(form.text),
  startedAt: form.text,
});
const backupPathRows = reader(T.commands, { backup: form.text });
const backupRows = reader(T.backups, { path: form.text, bytes: form.count, sha256: form.text });

/** A command that changed the store, or was about to. */
export type CommandRecord = RowOf<typeof commandRows>;

/** Commands that change a store. Each creates a backup first, except a plain `backfill`. */
export type WriteCommand = CommandRecord['command'];

/** A backup that was created before a command. */
export type BackupRecord = RowOf<typeof backupRows>;

function commandsIn({ store, exists, rows, timestamp }: Place) {
  /** Returns the last `limit` commands, first to last. */
  const commands = async (limit: number): Promise<CommandRecord[]> =>
    (await rows(commandRows, 'ORDER BY number DESC LIMIT ?', limit)).reverse();

  return {
    commands,

    /** Returns the last command, or undefined. */
    lastCommand: async (): Promise<CommandRecord | undefined> => (await commands(1))[0],

    /**
     * Returns every backup in the ledger, by path; undefined, without size and hash, if an earlier version created it.
     */
    async knownBackups(): Promise<ReadonlyMap<string, BackupRecord | undefined>> {
      const paths = await rows(backupPathRows, 'WHERE backup IS NOT NULL ORDER BY number');
      const hasRecords = (await exists()) && (await store.dialect.hasTable(store, T.backups));
      const records = hasRecords ? await backupRows(store, '') : []; // ledgers of earlier versions lack the table
      return new Map([
        ...paths.map(({ backup }) => [backup, undefined] as const),
        ...records.map((record) => [record.path, record] as const),
      ]);
    },

    /** Returns the path of the backup created by the `up` that started a step, or undefined. */
    async backupBefore(step: string): Promise<string | undefined> {
      const before = `started_at <= (SELECT started_at FROM ${T.steps} WHERE name = ?)`;
      const tail = `WHERE command = 'up' AND ${before} ORDER BY number DESC`;
      const started = await commandRows(store, tail, step);
      return started.find(({ steps }) => steps.includes(step))?.backup ?? undefined;
    },

    /** Records the start of a command and the backup created before it. Creates a missing ledger. */
    async beginCommand(
      { command, steps }: Pick<CommandRecord, 'command' | 'steps'>,
      backup: BackupRecord | null,
    ): Promise<void> {
      await store.dialect.ledger.make(store);
      const row = { command, steps: JSON.stringify(steps), backup: backup?.path ?? null };
      await insert(store, T.commands, { ...row, startedAt: timestamp() });
      if (!backup) return;
      const { path, bytes, sha256 } = backup;
      await upsert(store, T.backups, { path }, { bytes, sha256 });
    },
  };
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

/**
 * Finds started steps that have changed since or whose file no longer exists, and pending ones that sort before an applied one. Skips
 * external migrations.
 */
export function findDrift(steps: readonly Step[], records: readonly StepRecord[]): Drift[] {
  const known = new Map(records.map((record) => [record.name, record]));
  const own = records.filter(({ kind }) => kind !== EXTERNAL);
  const other = own.findLast(({ status }) => status === 'applied')?.name;
  const drifts: Drift[] = [];
  const add = (step: string, kind: Drift['kind'], text: Message): void =>
    void drifts.push(withTexts({ step, kind, text: english(text) }, { text }));
  for (const declared of steps) {
    const step = declared.name;
    const record = known.get(step);
    if (record && record.fingerprint !== fingerprint(declared)) {
      const text =
        record.status === 'applying'
          ? msg('The step {step} has changed since it was started', { step })
          : msg('The step {step} has changed since it was applied', { step });
      add(step, 'changed', text);
    }
    if (!record && other !== undefined && step < other) {
      const text = msg('The step {step} is new, but sorts before {other}, which is applied', { step, other });
      add(step, 'inserted', text);
    }
  }
  for (const { name, status } of own) {
    if (steps.some((step) => step.name === name)) continue;
    const text =
      status === 'applied'
        ? msg('The step {step} is applied, but its file is missing', { step: name })
        : msg('The step {name} is not finished, and its file is missing', { name });
    add(name, 'gone', text);
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
  for (const { name: step, packageVersion: version } of records) {
    const other = parseVersion(version);
    if (!own || !other || compareVersions(other, own) <= 0) continue;
    throw new BackfillError(
      'PACKAGE_TOO_OLD',
      msg('The step {step} was started by version {other} of this package; this is version {own}', {
        ...{ step, other: version, own: PACKAGE_VERSION },
      }),
      msg('Install that version, or a newer one: npm install umzug-backfill@{version}', { version }),
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
