import { spawnSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { anyLook } from './commands.js';
import type { Random } from './random.js';
import type { Make } from './runner.js';
import { putImage, type Stage } from './stages.js';
import { flipImage } from './stores.js';

const BOMB = 'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT';

const DATABASES: readonly string[] = [
  'CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT)',
  'CREATE TABLE holder (x)',
  'CREATE TABLE other (x)',
  `CREATE VIEW holder AS ${BOMB} i AS token, i AS pid, i AS host, i AS since FROM c`,
  `CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT);
  CREATE TRIGGER t AFTER INSERT ON holder BEGIN SELECT count(*) FROM holder a, holder b, holder c; END`,
  `CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT);
  CREATE TRIGGER t BEFORE DELETE ON holder BEGIN SELECT RAISE(ABORT, 'no'); END; INSERT INTO holder VALUES (1, 2, 3, 4)`,
  `CREATE TABLE holder (token TEXT, pid INTEGER CHECK (pid < 0), host TEXT, since TEXT)`,
  `CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT AS (printf('%.*c', 900000000, 'x')))`,
  `PRAGMA journal_mode = WAL; CREATE TABLE holder (token TEXT, pid INTEGER, host TEXT, since TEXT)`,
];

/** What stands where the lock's file is. */
function plant(random: Random, path: string, canary: string, lock: Buffer): void {
  const kind = random.below(14);
  const links = [
    join(canary, 'secret.txt'),
    join(canary, 'secret.db'),
    canary,
    '/dev/zero',
    join(canary, 'none'),
  ];
  const flipped = (): Buffer | undefined =>
    flipImage(random, { '': lock, '-wal': undefined, '-journal': undefined })[''];
  if (kind < 3) writeFileSync(path, random.bytes(random.pick([0, 1, 50, 4096, 8192])));
  else if (kind < 6) writeFileSync(path, flipped() ?? '');
  else if (kind === 6) mkdirSync(path);
  else if (kind === 7) spawnSync('mkfifo', [path]);
  else if (kind < 10) symlinkSync(random.pick(links), path);
  else if (kind === 10) linkSync(join(canary, 'secret.db'), path);
  else plantDatabase(random, path);
}

function plantDatabase(random: Random, path: string): void {
  const db = new Database(path);
  const sql = random.pick(DATABASES);
  db.exec(sql);
  const values = [random.text(), random.number(), random.text(), random.text()];
  if (random.chance(0.5) && sql === DATABASES[0])
    db.prepare('INSERT INTO holder VALUES (?, ?, ?, ?)').run(...values);
  db.close();
  if (random.chance(0.2)) chmodSync(path, random.pick([0, 0o400, 0o777, 0o644]));
}

/** Stores with something else for a lock, or beside it. */
export const makeDamagedLock =
  (stages: readonly Stage[], lock: Buffer): Make =>
  (random, folder) => {
    const path = join(folder, 'store.db');
    putImage(random.pick(stages).image, path);
    plant(random, `${path}.lock`, join(folder, '../canary'), lock);
    if (random.chance(0.2))
      writeFileSync(
        `${path}.lock${random.pick(['-wal', '-journal', '-shm'])}`,
        random.bytes(random.below(3000)),
      );
    const on = ['--db-path', path, '--log-level', 'silent', '--lock-timeout', '1'];
    const change = random.pick([
      ['up', '--no-backup'],
      ['down', '--no-backup', '--yes'],
      ['backfill', '--rescan', '2-fields', '--no-backup'],
      ['up', '--keep-backups', '1'],
    ]);
    return random.chance(0.5)
      ? [anyLook(random, folder)]
      : [{ argv: [...change, ...on] }, anyLook(random, folder)];
  };
