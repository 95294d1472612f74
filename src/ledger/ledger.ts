import type { Connection, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { batchesIn } from './batches.js';
import { type BackupRecord, type CommandRecord, checked, type Place, reader, readTexts } from './records.js';
import { runsIn, verificationsIn } from './runs.js';
import { skipsIn } from './skips.js';
import { stepsIn } from './steps.js';
import { LEDGER_FORMAT, LEDGER_TABLES as T } from './tables.js';

/** The ledger of a store: steps, commands, and the runs of backfills. Every write happens inside its caller's transaction. */
export interface Ledger
  extends Pick<Place, 'exists'>,
    ReturnType<typeof stepsIn>,
    ReturnType<typeof commandsIn>,
    ReturnType<typeof runsIn>,
    ReturnType<typeof batchesIn>,
    ReturnType<typeof skipsIn>,
    ReturnType<typeof verificationsIn> {
  /** The same ledger, on a transaction of its store. */
  in(tx: Store): Ledger;
}

/**
 * Opens the ledger of a store; it need not have one.
 *
 * @param now the clock. Default: the system's
 */
export const openLedger = (store: Store, now: () => Date = () => new Date()): Ledger =>
  ledgerIn(store, now, { range: 0 });

/** @param outer the same ledger outside of the transaction that `store` is */
function ledgerIn(store: Store, now: () => Date, last: Place['last'], outer?: { isKnown: boolean }): Ledger {
  // What a transaction finds is its own affair: it may have made the ledger, and be rolled back.
  const found = { isKnown: outer?.isKnown ?? false };
  const place: Place = {
    store,
    exists: async () => {
      found.isKnown ||= await store.dialect.hasTable(store, T.steps);
      return found.isKnown;
    },
    drop: async () => {
      await store.dialect.ledger.drop(store);
      found.isKnown = false;
      if (outer) outer.isKnown = false;
    },
    timestamp: () => now().toISOString(),
    last,
  };
  const runs = runsIn(place);
  return {
    exists: place.exists,
    ...stepsIn(place),
    ...commandsIn(place),
    ...runs,
    ...batchesIn(place, runs),
    ...skipsIn(place),
    ...verificationsIn(place),
    in: (tx) => ledgerIn(tx, now, last, found),
  };
}

/** The first format that is read: in 1, which had no table to say so, and 2, runs had no ranges. */
const FIRST_FORMAT = 3;

/** What brings a ledger to the next format, by the one that it has; none yet. Each runs inside its caller's transaction. */
const UPGRADES: Readonly<Record<number, (store: Store) => Promise<void>>> = {};

/** The format of a store's ledger; undefined where there is none. */
async function formatOf(store: Store): Promise<number | undefined> {
  if (await store.dialect.hasTable(store, T.format)) {
    const row = await store.get<{ version: number }>(`SELECT max(version) AS version FROM ${T.format}`);
    return row
      ? (checked<{ version: number | null }>(T.format, row, { version: ['count', null] }).version ?? 1)
      : 1;
  }
  return (await store.dialect.hasTable(store, T.steps)) ? 1 : undefined;
}

/**
 * Refuses a store whose ledger has a format that this version of the package does not read, and one whose ledger is not this program's
 * work.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD`, `LEDGER_UNTRUSTED`
 */
export async function requireKnownFormat(store: Store): Promise<void> {
  await store.dialect.checkLedger(store, [T.format]);
  const found = await formatOf(store);
  if (found !== undefined && found > LEDGER_FORMAT)
    throw new BackfillError(
      'PACKAGE_TOO_OLD',
      `The ledger of this store has format ${found}, and this version of the package knows the formats up to ${LEDGER_FORMAT}`,
      'Deploy the version of the package that wrote it, or a newer one: npm install umzug-backfill@latest',
    );
  if (found !== undefined && found < FIRST_FORMAT)
    throw new BackfillError(
      'LEDGER_TOO_OLD',
      `The ledger of this store has format ${found}, and this version of the package knows the formats from ${FIRST_FORMAT} on`,
      store.files
        ? 'Go back to the backup that was made before it: umzug-backfill restore; or revert with the version of the package that wrote it: umzug-backfill down --to 0. Then run `up` with this one'
        : 'Revert with the version of the package that wrote it: umzug-backfill down --to 0. Then run `up` with this one',
    );
  await store.dialect.checkLedger(store); // those of another format may be other ones
}

/** Brings the ledger of an earlier format to this one. Writes nothing where that is done, or where there is no ledger. */
export async function upgradeLedger(store: Connection): Promise<void> {
  const found = await formatOf(store);
  if (found === undefined || found >= LEDGER_FORMAT) return;
  await store.write(async (tx) => {
    for (let format = found; format < LEDGER_FORMAT; format += 1) await UPGRADES[format]?.(tx);
    await tx.run(`UPDATE ${T.format} SET version = ?`, LEDGER_FORMAT);
  });
}

/** A command that was begun. */
export interface CommandTime extends Pick<CommandRecord, 'command' | 'steps'> {
  readonly number: number;
  readonly begunAt: string;
}

const COMMANDS = reader<Omit<CommandRecord & CommandTime, 'steps'> & { readonly steps: string }>(T.commands, {
  number: 'count',
  command: ['up', 'down', 'rescan', 'backfill'],
  steps: 'text',
  backup: ['text', null],
  begunAt: 'text',
});
const BACKUPS = reader<BackupRecord>(T.backups, { path: 'text', bytes: 'count', sha256: 'text' });

const stepsOf = ({ steps }: { readonly steps: string }): string[] => readTexts(T.commands, 'steps', steps);

/** The ledger's commands, and the backups that were made before them. */
export function commandsIn({ store, exists, timestamp }: Place) {
  return {
    /** The last command that was begun, or undefined: the ledger goes with its last step. */
    async lastCommand(): Promise<CommandRecord | undefined> {
      const row = (await exists()) ? await COMMANDS.first(store, 'ORDER BY number DESC LIMIT 1') : undefined;
      return row && { ...row, steps: stepsOf(row) };
    },

    /**
     * Every backup that was made of this store, as far as the ledger goes back, by its path; without its size and hash if an earlier version
     * made it.
     */
    async knownBackups(): Promise<ReadonlyMap<string, BackupRecord | undefined>> {
      const known = new Map<string, BackupRecord | undefined>();
      if (!(await exists())) return known;
      for (const { backup } of await COMMANDS.all(store, 'WHERE backup IS NOT NULL ORDER BY number'))
        if (backup !== null) known.set(backup, undefined);
      if (!(await store.dialect.hasTable(store, T.backups))) return known; // a ledger of an earlier version
      for (const record of await BACKUPS.all(store, '')) known.set(record.path, record);
      return known;
    },

    /** Path of the backup of the `up` that began a step; undefined where it made none. */
    async backupBefore(step: string): Promise<string | undefined> {
      const commands = await COMMANDS.all(
        store,
        `WHERE command = 'up' AND begun_at <= (SELECT started_at FROM ${T.steps} WHERE name = ?) ORDER BY number DESC`,
        step,
      );
      return commands.find((row) => stepsOf(row).includes(step))?.backup ?? undefined;
    },

    /** Notes that a command begins, and the backup made before it. Makes the ledger where there is none. */
    async beginCommand(
      { command, steps }: Pick<CommandRecord, 'command' | 'steps'>,
      backup: BackupRecord | null,
    ): Promise<void> {
      await store.dialect.ledger.make(store);
      await store.run(
        `INSERT INTO ${T.commands} (command, steps, backup, begun_at) VALUES (?, ?, ?, ?)`,
        command,
        JSON.stringify(steps),
        backup?.path ?? null,
        timestamp(),
      );
      if (!backup) return;
      await store.run(
        `INSERT INTO ${T.backups} (path, bytes, sha256) VALUES (?, ?, ?)
        ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256`,
        backup.path,
        backup.bytes,
        backup.sha256,
      );
    },
  };
}

/** The last so many commands that changed a store with a ledger, first to last. */
export const commandTimes = async (store: Store, limit: number): Promise<CommandTime[]> =>
  (await COMMANDS.all(store, 'ORDER BY number DESC LIMIT ?', limit))
    .map((row) => ({ ...row, steps: stepsOf(row) }))
    .reverse();
