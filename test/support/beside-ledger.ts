import { memoryStorage, Umzug } from 'umzug';
import * as api from '../../src/index.js';
import { DATA, STEP } from './beside-app.js';
import { type Copy, openWith } from './other-sqlite.js';

// An application that keeps the names of its migrations in the ledger, beside another copy of SQLite or not: `node beside-ledger.js PATH FOLDER [COPY]`. It
// prints what each call returned, as JSON lines.

/** Code of an error, or of its cause where umzug has wrapped it. */
const codeOf = (thrown: unknown): string => {
  const { code, cause } = thrown as { readonly code?: string; readonly cause?: unknown };
  return code ?? (cause === undefined ? String(thrown) : codeOf(cause));
};

async function run(path: string, folder: string, copy?: Copy): Promise<void> {
  const db = copy && openWith(copy, path, folder);
  const tell = async (what: string, act: () => Promise<unknown>): Promise<void> => {
    const result = await act().catch((thrown) => codeOf(thrown));
    console.log(JSON.stringify([what, result]));
  };
  const storage = api.ledgerStorage(path);
  const old = memoryStorage();
  await old.logMigration({ name: '000-before.js', context: {} });
  await tell('from a storage', () => api.importExecuted({ from: old, to: storage }));
  await tell('from a table', () =>
    api.importExecuted({ from: { table: 'Meta', column: 'title' }, to: path }),
  );
  await tell('from no table, dry', () =>
    api.importExecuted({ from: { table: 'None' }, to: path, dryRun: true }),
  );

  const step = api.backfillStep({ name: STEP, database: path, backfill: DATA });
  const umzug = storage.attach(
    new Umzug({
      storage,
      logger: undefined,
      migrations: [
        { name: '000-before', up: async () => {}, down: async () => {} },
        { name: '001-plain.js', up: async () => {}, down: async () => {} },
        step,
      ],
    }),
  );
  const names = async (list: Promise<readonly { readonly name: string }[]>) =>
    (await list).map(({ name }) => name);
  await tell('pending', () => names(umzug.pending()));
  await tell('down of a stopped step', () => names(umzug.down()));
  await tell('up', () => names(umzug.up()));
  await tell('down', () => names(umzug.down({ to: 0 })));
  await tell('executed', () => storage.executed());
  db?.exec('SELECT 1');
}

const [, script = '', path, folder, copy] = process.argv;
if (script.endsWith('beside-ledger.js') && path !== undefined && folder !== undefined)
  await run(path, folder, copy as Copy | undefined);
