import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { someCommands } from './commands.js';
import type { Random } from './random.js';
import type { Make } from './runner.js';
import { putImage, type Stage } from './stages.js';

type Cell = string | number | bigint | Buffer | null;

const BOMB = deflateRawSync(
  Buffer.concat([Buffer.from('["'), Buffer.alloc(50_000_000, 0x61), Buffer.from('"]')]),
);

/** Values for a cell that no column expects, and some that it might hold. */
function anyCell(random: Random, others: () => Cell): Cell {
  const kind = random.below(12);
  if (kind === 0) return null;
  if (kind === 1) return random.text();
  if (kind === 2) return random.number();
  if (kind === 3) return random.pick([2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 0n, -1n]);
  if (kind === 4) return random.bytes(random.below(30));
  if (kind === 5)
    return random.pick([
      BOMB,
      Buffer.alloc(100_000),
      Buffer.alloc(3000, 0xff),
      Buffer.from('00ffffffffffffffff7f', 'hex'),
    ]);
  if (kind === 6)
    return random.pick([
      ...[
        '[]',
        '{}',
        'null',
        '[null]',
        '[[]]',
        '["a"]',
        '["source_event_ts"]',
        '[1]',
        '"x"',
        '[',
        '{"table":1}',
        `[${'['.repeat(5000)}`,
      ],
      ...[
        'applying',
        'applied',
        'reverting',
        'running',
        'filled',
        'verified',
        'superseded',
        'first',
        'catch-up',
        'rescan',
        'pass',
        'fail',
      ],
      ...[
        'backfill',
        'schema',
        'sql',
        'require',
        'external',
        'column',
        'index',
        'version',
        '*',
        '99.0.0',
        '0.0.1',
        'item-003',
        '5',
      ],
    ]);
  if (kind < 10) return others();
  return random.below(40);
}

function mutateRow(random: Random, db: Database.Database, table: string): void {
  const rows = db.prepare(`SELECT * FROM ${table}`).safeIntegers().all() as Record<string, Cell>[];
  if (rows.length === 0) return;
  const row = random.pick(rows);
  const columns = Object.keys(row);
  const where = columns.map((name) => `${name} IS ?`).join(' AND ');
  const kind = random.below(10);
  if (kind === 0) {
    db.prepare(`DELETE FROM ${table} WHERE ${where}`).run(...Object.values(row));
    return;
  }
  const changed: Record<string, Cell> = { ...row };
  const times = random.pick([1, 1, 2, 3]);
  for (let i = 0; i < times; i += 1) {
    const name = random.pick(columns);
    const value = changed[name];
    const others = (): Cell => random.pick(rows)[random.pick(columns)] ?? null;
    const isNear = typeof value === 'bigint' && random.chance(0.3);
    changed[name] = isNear ? BigInt.asIntN(64, value + random.pick([1n, -1n])) : anyCell(random, others);
  }
  const values = columns.map((name) => changed[name] ?? null);
  if (kind === 1)
    db.prepare(`INSERT OR REPLACE INTO ${table} VALUES (${columns.map(() => '?').join(', ')})`).run(
      ...values,
    );
  else
    db.prepare(
      `UPDATE OR REPLACE ${table} SET ${columns.map((name) => `${name} = ?`).join(', ')} WHERE ${where}`,
    ).run(...values, ...Object.values(row));
}

/** Ledgers of which cells are others: of other types, without their constraints, contradicting each other. */
export const makeDamagedLedger =
  (stages: readonly Stage[]): Make =>
  (random, folder) => {
    const path = join(folder, 'store.db');
    putImage(random.pick(stages).image, path);
    const putBack = random.chance(0.5) ? withoutConstraints(path) : undefined;
    const db = new Database(path);
    try {
      const tables = db
        .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'umzug_backfill_%'`)
        .pluck()
        .all() as string[];
      const times = random.pick([1, 1, 1, 2, 5]);
      for (let i = 0; i < times; i += 1) {
        try {
          mutateRow(random, db, random.pick(tables));
        } catch (error) {
          if (!isRefused(error)) throw error;
        }
      }
    } finally {
      db.close();
    }
    putBack?.();
    return someCommands(random, folder);
  };

/** Whether SQLite keeps a value out: where constraints stand, and of a rowid. */
const isRefused = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^SQLITE_(?:CONSTRAINT|MISMATCH)/.test(String(error.code));

/**
 * Takes the constraints from the ledger's tables, so that any value goes into any column.
 *
 * @returns what puts their definitions back, as a ledger with other ones is not read at all
 */
function withoutConstraints(path: string): () => void {
  const editSchema = (act: (db: Database.Database) => void): void => {
    const db = new Database(path);
    try {
      db.unsafeMode(true);
      db.pragma('writable_schema = ON');
      act(db);
    } finally {
      db.close();
    }
  };
  let before: { name: string; sql: string }[] = [];
  editSchema((db) => {
    before = db
      .prepare<[], { name: string; sql: string }>(
        `SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name LIKE 'umzug_backfill_%'`,
      )
      .all();
    db.exec(
      `UPDATE sqlite_schema SET sql = replace(replace(sql, ' NOT NULL', ''), 'TEXT', '') WHERE name LIKE 'umzug_backfill_%'`,
    );
  });
  return () =>
    editSchema((db) => {
      const put = db.prepare(`UPDATE sqlite_schema SET sql = :sql WHERE type = 'table' AND name = :name`);
      for (const table of before) put.run(table);
    });
}
