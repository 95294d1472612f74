import { readFileSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';

// Files that another user could put in the place of the run lock of a store.

/** The lock's table, as this program makes it. */
export const HOLDER_TABLE = 'CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT)';

/** A query that does not end. */
const ENDLESS = 'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c';

/** Schemas that no lock of this program has, some of which run something when they are read or written. */
export const HOSTILE_SCHEMAS: Readonly<Record<string, string>> = {
  'a trigger that does not end': `${HOLDER_TABLE}; CREATE TRIGGER t BEFORE INSERT ON holder BEGIN INSERT INTO holder SELECT 1, 1, 1, (${ENDLESS}); END`,
  'a view that does not end': `CREATE VIEW holder AS SELECT 1 AS token, 1 AS pid, 'h' AS host, (${ENDLESS}) AS since`,
  'a generated column of a gigabyte': `CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT AS (printf('%1000000000d', 1)), since TEXT)`,
  'another table': `${HOLDER_TABLE}; CREATE TABLE other (x)`,
  'an index': `${HOLDER_TABLE}; CREATE INDEX i ON holder (token)`,
  'a column more': 'CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT, more TEXT)',
  'a default': `CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT DEFAULT (randomblob(9)))`,
  'a text of a megabyte': `${HOLDER_TABLE}; INSERT INTO holder VALUES ('t', 1, printf('%1000000d', 1), 's')`,
  'the mode that keeps a WAL': `PRAGMA journal_mode = WAL; ${HOLDER_TABLE}`,
};

/** Writes a database of 8 KiB in which each page refers to the next some 70 times: SQLite reads the schema for years. */
export function writePageBomb(path: string): void {
  const [pageBytes, pages] = [512, 16];
  new Database(path).exec(`PRAGMA page_size = ${pageBytes}; CREATE TABLE a (x)`).close();
  const file = Buffer.alloc(pageBytes * pages);
  readFileSync(path).copy(file, 0, 0, 100);
  file.writeUInt32BE(pages, 28);
  file.writeUInt32BE(file.readUInt32BE(24), 92);
  for (let page = 1; page < pages; page += 1) {
    const start = (page - 1) * pageBytes;
    const head = page === 1 ? 100 : 0;
    const cells = Math.floor((pageBytes - head - 12) / 7);
    file[start + head] = 5; // the inner page of a table
    file.writeUInt16BE(cells, start + head + 3);
    file.writeUInt16BE(pageBytes - 5 * cells, start + head + 5);
    file.writeUInt32BE(page + 1, start + head + 8);
    for (let cell = 0; cell < cells; cell += 1) {
      const at = pageBytes - 5 * (cell + 1);
      file.writeUInt16BE(at, start + head + 12 + 2 * cell);
      file.writeUInt32BE(page + 1, start + at);
      file[start + at + 4] = cell;
    }
  }
  const leaf = (pages - 1) * pageBytes;
  file[leaf] = 13;
  file.writeUInt16BE(1, leaf + 3);
  file.writeUInt16BE(pageBytes - 8, leaf + 5);
  file.writeUInt16BE(pageBytes - 8, leaf + 8);
  Buffer.from([6, 1, 6, 0, 0, 0, 0, 0]).copy(file, leaf + pageBytes - 8); // a row of five NULLs
  writeFileSync(path, file);
}

/** Begins a journal of SQLite, and ends its name of another journal that stands for several. */
const MAGIC = Buffer.from('d9d505f920a163d7', 'hex');

/** Writes a journal that SQLite applies to a database, and then removes the file `removed`, which it takes for a super-journal. */
export function writeRemovingJournal(path: string, removed: string): void {
  const header = Buffer.alloc(512);
  MAGIC.copy(header);
  [0, 1, 2, 512, 4096].forEach((value, i) => {
    header.writeUInt32BE(value, 8 + 4 * i);
  });
  const name = Buffer.from(removed);
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32BE(name.length, 4);
  numbers.writeUInt32BE(
    name.reduce((sum, byte) => sum + byte, 0),
    8,
  );
  const page = Buffer.alloc(4);
  page.writeUInt32BE(0x40000000 / 4096 + 1);
  writeFileSync(path, Buffer.concat([header, page, name, numbers.subarray(4), MAGIC]));
}
