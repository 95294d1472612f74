/**
 * Tables of the ledger. They are in the store itself, so that a change and its record commit in one transaction.
 *
 * No STRICT and no generated columns: the application may read its store with SQLite 3.35, and an unknown keyword in one table's DDL makes
 * the whole schema unreadable.
 */
export const LEDGER_TABLES = {
  steps: 'umzug_backfill_steps',
  objects: 'umzug_backfill_objects',
  runs: 'umzug_backfill_runs',
  ranges: 'umzug_backfill_ranges',
  batches: 'umzug_backfill_batches',
  cells: 'umzug_backfill_cells',
  recorded: 'umzug_backfill_recorded',
  skips: 'umzug_backfill_skips',
  verifications: 'umzug_backfill_verifications',
  commands: 'umzug_backfill_commands',
  declarations: 'umzug_backfill_declarations',
  kept: 'umzug_backfill_kept',
  format: 'umzug_backfill_format',
  tables: 'umzug_backfill_tables',
  backups: 'umzug_backfill_backups',
} as const;

const T = LEDGER_TABLES;

/** Ledger format that this package writes. */
export const LEDGER_FORMAT = 4;

/**
 * DDL for both dialects; {@link ledgerDdl} replaces the upper-case types. Times are ISO-8601 in UTC, booleans are 0 and 1. The comments
 * become part of a SQLite store's schema.
 */
const TEMPLATE = `
CREATE TABLE IF NOT EXISTS ${T.steps} (
  name TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,              -- schema | sql | backfill | require | external
  status TEXT NOT NULL,            -- applying -> applied -> reverting -> (row deleted)
  fingerprint TEXT NOT NULL,       -- SHA-256 of the normalised declaration
  package_version TEXT NOT NULL,   -- version of this package that started the step
  started_at TEXT NOT NULL,
  applied_at TEXT,
  duration_ms INTEGER NOT NULL DEFAULT 0,
  object_count INTEGER NOT NULL DEFAULT 0,  -- its rows in the next table
  reverted_cells INTEGER NOT NULL DEFAULT 0,  -- by the \`down\` in progress
  kept_cells INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS ${T.objects} (   -- objects that a schema step created, and its \`down\` drops
  step TEXT NOT NULL,
  kind TEXT NOT NULL,              -- column | index | version
  name TEXT NOT NULL,
  PRIMARY KEY (step, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.runs} (
  backfill TEXT NOT NULL,
  run INTEGER NOT NULL,            -- 1, 2, ...
  kind TEXT NOT NULL,              -- first | catch-up | rescan
  status TEXT NOT NULL,            -- running -> filled -> verified; or superseded by a rescan
  start_key ANY,                   -- last key before it
  watermark ANY,                   -- its last key; NULL if the table was empty
  prefilled_cells INTEGER,         -- cells up to the watermark that held their derived value before the run; NULL until counted
  started_at TEXT NOT NULL,
  filled_at TEXT,
  PRIMARY KEY (backfill, run)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.ranges} (    -- ranges of a run's keys, with cursor and counts
  backfill TEXT NOT NULL,
  run INTEGER NOT NULL,
  number INTEGER NOT NULL,         -- 1, 2, ...
  start_key ANY,                   -- last key before it; NULL for the first range
  end_key ANY NOT NULL,            -- its last key
  cursor ANY,                      -- last key done, exclusive
  is_done INTEGER NOT NULL DEFAULT 0,
  batches INTEGER NOT NULL DEFAULT 0,
  rows_scanned INTEGER NOT NULL DEFAULT 0,
  cells_filled INTEGER NOT NULL DEFAULT 0,
  cells_skipped INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (backfill, run, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.batches} (
  backfill TEXT NOT NULL,
  number INTEGER NOT NULL,         -- rises over all runs
  run INTEGER NOT NULL,
  range_number INTEGER NOT NULL,
  first_key ANY NOT NULL,
  last_key ANY NOT NULL,
  rows_scanned INTEGER NOT NULL,
  cells_filled INTEGER NOT NULL,
  cells_skipped INTEGER NOT NULL,
  skips INTEGER NOT NULL,          -- its rows in the table of skips
  duration_ms REAL NOT NULL,
  committed_at TEXT NOT NULL,
  PRIMARY KEY (backfill, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.cells} (     -- cells that a batch filled, for exact rollback
  backfill TEXT NOT NULL,
  batch INTEGER NOT NULL,
  columns TEXT NOT NULL,           -- JSON array: the columns filled in each of these rows
  evidence TEXT NOT NULL,          -- derived: the value can be derived again from the row; recorded: in the next table
  first_key ANY NOT NULL,
  keys BLOB NOT NULL,              -- integers: spans of consecutive keys from first_key on; texts: deflated JSON
  PRIMARY KEY (backfill, batch, columns)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.recorded} (  -- cells whose value cannot be derived again; not written yet
  backfill TEXT NOT NULL,
  batch INTEGER NOT NULL,
  key ANY NOT NULL,
  target TEXT NOT NULL,            -- the column
  sha256 TEXT NOT NULL,            -- hash of the written value, in hexadecimal
  earlier TEXT,                    -- earlier value as a literal; NULL if it was NULL
  PRIMARY KEY (backfill, batch, key, target)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.skips} (
  backfill TEXT NOT NULL,
  key ANY NOT NULL,
  target TEXT NOT NULL,            -- a column, or * for the whole row
  reason TEXT NOT NULL,
  batch INTEGER NOT NULL,
  PRIMARY KEY (backfill, key, target)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ${T.skips}_batch ON ${T.skips} (backfill, batch);
CREATE TABLE IF NOT EXISTS ${T.verifications} (
  backfill TEXT NOT NULL,
  number INTEGER NOT NULL,         -- 1, 2, ...
  run INTEGER NOT NULL,            -- last run that it covers
  verdict TEXT NOT NULL,           -- pass | warn | fail
  verified_at TEXT NOT NULL,
  checks TEXT NOT NULL,            -- JSON: each check's verdict and counts
  PRIMARY KEY (backfill, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.commands} (  -- commands that changed the store, or were about to
  number SERIAL PRIMARY KEY,       -- 1, 2, ...
  command TEXT NOT NULL,           -- up | down | rescan | backfill
  steps TEXT NOT NULL,             -- JSON array: steps that it would process
  backup TEXT,                     -- path of the backup created before it; NULL without one
  started_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ${T.declarations} (  -- declarations that filled batches, from first_batch on
  backfill TEXT NOT NULL,
  first_batch INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  declaration TEXT NOT NULL,       -- JSON: table, key, scope, columns with what fills each; for a function its version
  process TEXT,                    -- text of the function; NULL without one
  PRIMARY KEY (backfill, first_batch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.kept} (      -- cells that the \`down\` in progress has kept for another reason than a change
  backfill TEXT NOT NULL,
  reason TEXT NOT NULL,            -- gone | underivable
  cells INTEGER NOT NULL,
  PRIMARY KEY (backfill, reason)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.format} (    -- one row
  version INTEGER NOT NULL
);
INSERT INTO ${T.format} (version) SELECT ${LEDGER_FORMAT} WHERE NOT EXISTS (SELECT 1 FROM ${T.format});
CREATE TABLE IF NOT EXISTS ${T.tables} (    -- table of a backfill at the last search from the first key
  backfill TEXT PRIMARY KEY NOT NULL,
  identity TEXT NOT NULL,          -- of its file and its definition
  run INTEGER NOT NULL,            -- last run that had started by then
  watermark ANY,                   -- last key searched; NULL if the table was empty
  probes TEXT NOT NULL             -- JSON array: a few filled cells, [column, key] each
);
CREATE TABLE IF NOT EXISTS ${T.backups} (   -- backups as they were created: a restore compares them
  path TEXT PRIMARY KEY NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL             -- in hexadecimal
);
`;

/** A dialect's replacements for words of the template; ` ANY` is the type of keys. */
export type LedgerTypes = Readonly<
  Partial<Record<' TEXT' | ' INTEGER' | ' REAL' | ' BLOB' | ' ANY' | ' SERIAL' | ' WITHOUT ROWID', string>>
>;

/** SQLite's types. Key columns have none, so that keys keep the type they have in the table. */
export const SQLITE_TYPES: LedgerTypes = { ' ANY': '', ' SERIAL': ' INTEGER' };

/** Returns DDL that creates missing ledger tables and records the format. */
export const ledgerDdl = (types: LedgerTypes): string =>
  TEMPLATE.replace(
    / (?:TEXT|INTEGER|REAL|BLOB|ANY|SERIAL|WITHOUT ROWID)\b/g,
    (word) => types[word as keyof LedgerTypes] ?? word,
  );

/** DDL that drops the ledger, with its last step, so that `down --to 0` leaves the schema as it was. */
export const LEDGER_DROP = Object.values(T)
  .map((name) => `DROP TABLE IF EXISTS ${name};`)
  .join('\n');
