import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { someCommands } from './commands.js';
import type { Random } from './random.js';
import type { Make } from './runner.js';
import { type Image, putImage, type Stage } from './stages.js';

const PAGE = 1024;

/** Changes bytes where they mean something: headers, pages, cells, lengths. */
function flip(random: Random, bytes: Buffer, page: number, header: number): Buffer {
  const out = Buffer.from(bytes);
  const at = (): number => {
    const pages = Math.max(1, Math.floor((out.length - header) / page));
    const start = header + random.below(pages) * page;
    const kind = random.below(5);
    if (kind === 0) return random.below(Math.min(out.length, 100)); // the file's header
    if (kind === 1) return start + random.below(12) + (start === 0 ? 100 : 0); // a page's
    if (kind === 2) return start + 8 + random.below(64); // its cell pointers
    if (kind === 3) return start + page - 1 - random.below(200); // its cells
    return random.below(out.length);
  };
  const times = random.pick([1, 1, 2, 4, 16]);
  for (let i = 0; i < times; i += 1) {
    const place = Math.min(at(), out.length - 4);
    if (place < 0) return out;
    const kind = random.below(6);
    if (kind === 0) out[place] = random.below(256);
    else if (kind === 1) out[place] = (out[place] ?? 0) ^ (1 << random.below(8));
    else if (kind === 2) out.writeUInt16BE(random.pick([0, 1, 0xffff, 0x7fff, page, page - 1]), place);
    else if (kind === 3) out.writeUInt32BE(random.pick([0, 1, 0xffffffff, 0x7fffffff, 0xfffffffe, 2]), place);
    else if (kind === 4)
      out.fill(random.pick([0, 0xff, 0x80]), place, Math.min(out.length, place + random.below(40)));
    else random.bytes(8).copy(out, place);
  }
  const kind = random.below(12);
  if (kind === 0) return out.subarray(0, random.below(out.length));
  if (kind === 1) return Buffer.concat([out, random.bytes(random.below(3000))]);
  if (kind === 2) {
    const [a, b] = [1, 1].map(() => random.below(Math.max(1, Math.floor(out.length / page))) * page) as [
      number,
      number,
    ];
    const copy = Buffer.from(out.subarray(a, a + page));
    copy.copy(out, b);
  }
  return out;
}

/** A store of which bytes of the file, the WAL or the journal are others. */
export function flipImage(random: Random, image: Image): Image {
  const out: Record<string, Buffer | undefined> = { ...image };
  const sides = (['-wal', '-journal'] as const).filter((end) => (image[end]?.length ?? 0) > 0);
  const end = sides.length > 0 && random.chance(0.4) ? random.pick(sides) : '';
  const bytes = image[end];
  if (bytes) out[end] = end === '-wal' ? flip(random, bytes, PAGE + 24, 32) : flip(random, bytes, PAGE, 0);
  // A sidecar that belongs to no such store.
  if (random.chance(0.05)) out[random.pick(['-wal', '-journal'])] = random.bytes(random.below(5000));
  return out as Image;
}

const WORDS = [
  ...[
    'CREATE',
    'TABLE',
    'INDEX',
    'VIEW',
    'TRIGGER',
    'VIRTUAL',
    'TEMP',
    'UNIQUE',
    'WITHOUT ROWID',
    'STRICT',
    'AS SELECT',
    'WITH RECURSIVE',
  ],
  ...[
    'BEGIN',
    'END',
    'AFTER UPDATE OF',
    'INSTEAD OF',
    'ON',
    'task_audits',
    'items',
    'source_event_ts',
    'GENERATED ALWAYS AS',
    'CHECK',
  ],
  ...[
    'COLLATE NOCASE',
    'PRIMARY KEY',
    'REFERENCES',
    'ON CONFLICT REPLACE',
    'DEFAULT',
    'NOT NULL',
    'WHERE',
    'USING fts5(x)',
    'USING dbstat',
  ],
  ...[
    'load_extension(1)',
    'randomblob(9)',
    "printf('%.*c',900000,'x')",
    'umzug_backfill_read_json(1)',
    '1/0',
    'x"',
    "'",
    '`',
    '[',
    ']',
    '(',
    ')',
  ],
  ...[
    '--',
    '/*',
    '*/',
    ';',
    ',',
    '\u0000',
    '\u{1F4A3}',
    '?1',
    ':a',
    '0x7fffffffffffffff',
    '1e999',
    "x'00'",
    '((((((((',
    'RAISE(IGNORE)',
  ],
];

function mutateSql(random: Random, sql: string): string {
  const kind = random.below(8);
  if (kind === 0) return random.text();
  if (kind === 1)
    return `${sql};${random.pick(['SELECT 1', 'ATTACH ? AS e', 'DROP TABLE task_audits', 'VACUUM', 'PRAGMA user_version = 7'])}`;
  if (kind === 2) return sql.slice(0, random.below(sql.length));
  if (kind === 3) return `${random.pick(WORDS)} ${sql}`;
  const words = sql.split(/(\s+|[(),;])/);
  const times = random.between(1, 5);
  for (let i = 0; i < times; i += 1) {
    const at = random.below(words.length);
    const change = random.below(5);
    if (change === 0) words.splice(at, 1);
    else if (change === 1) words.splice(at, 0, ` ${random.pick(WORDS)} `);
    else if (change === 2) words[at] = random.pick(WORDS);
    else if (change === 3) words.splice(at, 0, words[random.below(words.length)] ?? '');
    else words[at] = (words[at] ?? '').repeat(random.pick([2, 50, 2000]));
  }
  return words.join('');
}

/** Writes other texts into the schema, as whoever may write the file can. */
function mutateSchema(random: Random, path: string): void {
  const db = new Database(path);
  try {
    db.unsafeMode(true);
    db.pragma('writable_schema = ON');
    const rows = db.prepare('SELECT rowid, type, name, tbl_name, rootpage, sql FROM sqlite_schema').all() as {
      readonly rowid: number;
      readonly sql: string | null;
      readonly name: string;
    }[];
    const times = random.pick([1, 1, 1, 2, 4]);
    for (let i = 0; i < times; i += 1) {
      const row = random.pick(rows);
      const kind = random.below(8);
      const any = (): string | number | null => random.pick([random.text(), random.below(50), null]);
      if (kind < 5)
        db.prepare('UPDATE sqlite_schema SET sql = ? WHERE rowid = ?').run(
          mutateSql(random, row.sql ?? ''),
          row.rowid,
        );
      else if (kind === 5) {
        const column = random.pick(['type', 'name', 'tbl_name', 'rootpage', 'sql']);
        db.prepare(`UPDATE sqlite_schema SET ${column} = ? WHERE rowid = ?`).run(any(), row.rowid);
      } else if (kind === 6)
        db.prepare('INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)').run(
          random.pick(['table', 'index', 'view', 'trigger', random.text()]),
          random.pick([row.name, random.text(), 'umzug_backfill_steps', 'schema_version']),
          random.pick(['task_audits', 'items', row.name]),
          random.pick([0, 1, 2, 5, 999, -1]),
          mutateSql(random, random.pick(rows).sql ?? ''),
        );
      else db.prepare('DELETE FROM sqlite_schema WHERE rowid = ?').run(row.rowid);
    }
  } finally {
    db.close();
  }
}

/**
 * Stores with other bytes, or with other texts in the schema; some are backups that a good store is to be restored from.
 *
 * @param settledStages the stages without WAL and journal, for what is written by SQL
 */
export const makeDamagedStore =
  (stages: readonly Stage[], settledStages: readonly Stage[]): Make =>
  (random, folder) => {
    const path = join(folder, 'store.db');
    const kind = random.below(10);
    if (kind === 0) {
      const backup = join(folder, 'copy.db');
      putImage(random.pick(settledStages).image, path);
      writeFileSync(backup, flipImage(random, random.pick(settledStages).image)[''] ?? Buffer.alloc(0));
      return [
        {
          argv: [
            'restore',
            backup,
            '--yes',
            '--db-path',
            path,
            '--log-level',
            'silent',
            '--lock-timeout',
            '1',
          ],
        },
      ];
    }
    if (kind < 6) {
      putImage(flipImage(random, random.pick(stages).image), path);
    } else {
      putImage(random.pick(settledStages).image, path);
      mutateSchema(random, path);
    }
    return someCommands(random, folder);
  };
