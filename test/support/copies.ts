import { closeSync, openSync, readdirSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { snapshotFiles } from './cli.js';
import { numbers } from './customers.js';
import { asAgentOs, change, dumpStore } from './stores.js';

const HEADER = [
  ...['page_size', 'encoding', 'auto_vacuum', 'user_version', 'application_id', 'journal_mode'],
  'integrity_check',
];

/** All that a store is: schema, every cell of every table, its header. Not while another connection of this process stands. */
export function stateOf(store: string) {
  const header: Record<string, unknown> = asAgentOs(store, (db) =>
    Object.fromEntries(HEADER.map((name) => [name, db.pragma(name, { simple: true })])),
  );
  return { ...dumpStore(store), header };
}
export type StoreState = ReturnType<typeof stateOf>;

/** The state of a store, as its backups have it: those are in rollback mode. */
export const asBackup = ({ header, ...state }: StoreState): StoreState => ({
  ...state,
  header: { ...header, journal_mode: 'delete' },
});

/** What a copy was made for. */
type Kind = 'backup' | 'before-restore';

/** The paths of a store's copies that are whole, in no order. */
export function copiesOf(store: string, kind: Kind = 'backup', folder = dirname(store)): string[] {
  const isCopy = new RegExp(`(?:-[0-9a-f]{8})?\\.${kind}-\\d{8}T\\d{6}Z(?:-\\d+)?$`);
  const name = basename(store);
  return readdirSync(folder)
    .filter((file) => file.startsWith(name) && isCopy.test(file))
    .map((file) => join(folder, file));
}

/** The only copy. */
export function copyOf(store: string, kind?: Kind, folder?: string): string {
  const [path, ...more] = copiesOf(store, kind, folder);
  if (path === undefined || more.length > 0) throw new Error(`Expected one copy, got ${more.length + 1}`);
  return path;
}

/** What stands on disk of a store, without the lock of runs, which is none of its files and stays. */
export function filesOf(store: string) {
  const { sidecars, ...files } = snapshotFiles(store);
  return { ...files, sidecars: sidecars.filter((name) => !name.endsWith('.lock')) };
}

/** Overwrites bytes of a file in place. Not while a connection of this process stands. */
export function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** Makes a table that no command of ours reads. */
export const addNotes = (store: string): void =>
  change(
    store,
    `CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT);
    ${numbers(500)} INSERT INTO notes (text) SELECT replace(hex(zeroblob(5)), '00', 'note ' || (i - 1) || ' ') FROM n`,
  );

/** Overwrites the root page of a table: an inner one, as the table has several. */
export function damageTable(store: string, table: string): void {
  const [root, pageBytes] = asAgentOs(store, (db) => [
    db.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').pluck().get(table) as number,
    Number(db.pragma('page_size', { simple: true })),
  ]) as [number, number];
  overwrite(store, (root - 1) * pageBytes, Buffer.alloc(pageBytes, 0xa5));
}
