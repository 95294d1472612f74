import type { Connection, Store } from '../db/connection.js';
import { BackfillError } from '../errors.js';
import { checked } from './checked.js';
import { LEDGER_FORMAT, LEDGER_TABLES as T } from './tables.js';

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
