import { BackfillError } from '../errors.js';
import type { Connection, Store } from '../store/port.js';
import { checked } from './checked.js';
import { LEDGER_FORMAT, LEDGER_TABLES as T } from './tables.js';

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
 * Refuses a store whose ledger a later version of this package has written, as it may say what this one does not know, and one whose
 * ledger is not this program's work.
 *
 * @throws {BackfillError} `PACKAGE_TOO_OLD`, `LEDGER_UNTRUSTED`
 */
export async function refuseNewerLedger(store: Store): Promise<void> {
  await store.dialect.checkLedger(store, [T.format]);
  const found = await formatOf(store);
  if (found === undefined || found <= LEDGER_FORMAT) {
    await store.dialect.checkLedger(store); // those of a later format may be other ones
    return;
  }
  throw new BackfillError(
    'PACKAGE_TOO_OLD',
    `The ledger of this store has format ${found}, and this version of the package knows the formats up to ${LEDGER_FORMAT}`,
    'Deploy the version of the package that wrote it, or a newer one: npm install umzug-backfill@latest',
  );
}

/** Brings the ledger of an earlier format to this one. Writes nothing where that is done, or where there is no ledger. */
export async function upgradeLedger(store: Connection): Promise<void> {
  const found = await formatOf(store);
  if (found === undefined || found >= LEDGER_FORMAT) return;
  await store.write(async (tx) => await tx.dialect.makeLedger(tx));
}
