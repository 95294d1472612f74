import type { Connection, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { batchesIn, skipsIn } from './batches.js';
import { count, insert, oneOf, orNull, type Place, type RowOf, reader, text, texts } from './records.js';
import { runsIn } from './runs.js';
import { stepsIn } from './steps.js';
import { LEDGER_FORMAT, LEDGER_TABLES as T } from './tables.js';

/** The ledger of a store: steps, commands, and the runs of backfills. Every write happens inside its caller's transaction. */
export interface Ledger
  extends Pick<Place, 'exists'>,
    ReturnType<typeof stepsIn>,
    ReturnType<typeof commandsIn>,
    ReturnType<typeof runsIn>,
    ReturnType<typeof batchesIn>,
    ReturnType<typeof skipsIn> {
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
  const exists = async (): Promise<boolean> => {
    found.isKnown ||= await store.dialect.hasTable(store, T.steps);
    return found.isKnown;
  };
  const place: Place = {
    store,
    exists,
    rows: async (table, tail, ...parameters) =>
      (await exists()) ? await table.all(store, tail, ...parameters) : [],
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
    exists,
    ...stepsIn(place),
    ...commandsIn(place),
    ...runs,
    ...batchesIn(place, runs),
    ...skipsIn(place),
    in: (tx) => ledgerIn(tx, now, last, found),
  };
}

// Its format

/** The first format that is read: in 1, which had no table to say so, and 2, runs had no ranges; in 3 columns had other names. */
const FIRST_FORMAT = 4;

const FORMATS = reader(T.format, { version: count });

/** What brings a ledger to the next format, by the one that it has; none yet. Each runs inside its caller's transaction. */
const UPGRADES: Readonly<Record<number, (store: Store) => Promise<void>>> = {};

/** The format of a store's ledger; undefined where there is none. */
async function formatOf(store: Store): Promise<number | undefined> {
  if (await store.dialect.hasTable(store, T.format))
    return (await FORMATS.first(store, 'ORDER BY version DESC LIMIT 1'))?.version ?? 1;
  return (await store.dialect.hasTable(store, T.steps)) ? 1 : undefined;
}

/**
 * Refuses a store whose ledger has a format that this version of the package does not read, and one whose ledger is not this program's
 * work.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_TOO_OLD`, `LEDGER_UNTRUSTED`
 */
export async function requireKnownFormat(store: Store): Promise<void> {
  await store.dialect.ledger.check(store, [T.format]);
  const found = await formatOf(store);
  if (found !== undefined && found > LEDGER_FORMAT)
    throw new BackfillError(
      'PACKAGE_TOO_OLD',
      msg(
        'The ledger of this store has format {found}, and this version of the package knows the formats up to {known}',
        { found, known: LEDGER_FORMAT },
      ),
      msg(
        'Deploy the version of the package that wrote it, or a newer one: npm install umzug-backfill@latest',
      ),
    );
  if (found !== undefined && found < FIRST_FORMAT)
    throw new BackfillError(
      'LEDGER_TOO_OLD',
      msg(
        'The ledger of this store has format {found}, and this version of the package knows the formats from {known} on',
        { found, known: FIRST_FORMAT },
      ),
      store.files
        ? msg(
            'Go back to the backup that was made before it: umzug-backfill restore; or revert with the version of the package that wrote it: umzug-backfill down --to 0. Then run `up` with this one',
          )
        : msg(
            'Revert with the version of the package that wrote it: umzug-backfill down --to 0. Then run `up` with this one',
          ),
    );
  await store.dialect.ledger.check(store); // those of another format may be other ones
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

// Commands that changed the store, or were about to, and the backups made before them

const COMMANDS = reader(T.commands, {
  number: count,
  command: oneOf('up', 'down', 'rescan', 'backfill'),
  /** The steps that it was to work on. */
  steps: texts,
  /** Path of the backup made before it, or null. */
  backup: orNull(text),
  startedAt: text,
});
const BACKUP_PATHS = reader(T.commands, { backup: text });
const BACKUPS = reader(T.backups, { path: text, bytes: count, sha256: text });

/** A command that was begun. */
export type CommandRecord = RowOf<typeof COMMANDS>;

/** Commands that change a store; before all but a plain `backfill` a backup is made. */
export type WriteCommand = CommandRecord['command'];

/** A backup that was made before a command. */
export type BackupRecord = RowOf<typeof BACKUPS>;

function commandsIn({ store, exists, rows, timestamp }: Place) {
  /** The last so many commands that were begun, first to last. */
  const commands = async (limit: number): Promise<CommandRecord[]> =>
    (await rows(COMMANDS, 'ORDER BY number DESC LIMIT ?', limit)).reverse();

  return {
    commands,

    /** The last command that was begun, or undefined: the ledger goes with its last step. */
    lastCommand: async (): Promise<CommandRecord | undefined> => (await commands(1))[0],

    /**
     * Every backup that was made of this store, as far as the ledger goes back, by its path; without its size and hash if an earlier version
     * made it.
     */
    async knownBackups(): Promise<ReadonlyMap<string, BackupRecord | undefined>> {
      const paths = await rows(BACKUP_PATHS, 'WHERE backup IS NOT NULL ORDER BY number');
      const hasRecords = (await exists()) && (await store.dialect.hasTable(store, T.backups));
      const records = hasRecords ? await BACKUPS.all(store, '') : []; // a ledger of an earlier version has none
      return new Map([
        ...paths.map(({ backup }) => [backup, undefined] as const),
        ...records.map((record) => [record.path, record] as const),
      ]);
    },

    /** Path of the backup of the `up` that began a step; undefined where it made none. */
    async backupBefore(step: string): Promise<string | undefined> {
      const begun = await COMMANDS.all(
        store,
        `WHERE command = 'up' AND started_at <= (SELECT started_at FROM ${T.steps} WHERE name = ?) ORDER BY number DESC`,
        step,
      );
      return begun.find(({ steps }) => steps.includes(step))?.backup ?? undefined;
    },

    /** Notes that a command begins, and the backup made before it. Makes the ledger where there is none. */
    async beginCommand(
      { command, steps }: Pick<CommandRecord, 'command' | 'steps'>,
      backup: BackupRecord | null,
    ): Promise<void> {
      await store.dialect.ledger.make(store);
      await insert(store, T.commands, {
        command,
        steps: JSON.stringify(steps),
        backup: backup?.path ?? null,
        startedAt: timestamp(),
      });
      if (!backup) return;
      const { path, bytes, sha256 } = backup;
      const onConflict = 'ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256';
      await insert(store, T.backups, { path, bytes, sha256 }, onConflict);
    },
  };
}
