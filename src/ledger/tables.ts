/**
 * The ledger: our tables in the store itself, so that a change and the record of it commit in one transaction.
 *
 * No STRICT and no generated columns: a store must stay readable by the SQLite 3.35 that its application may have,
 * and an unknown keyword in one table's DDL makes the whole schema unreadable.
 */
export const LEDGER_TABLES = {
  steps: 'umzug_backfill_steps',
  objects: 'umzug_backfill_objects',
  runs: 'umzug_backfill_runs',
  batches: 'umzug_backfill_batches',
  cells: 'umzug_backfill_cells',
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

/**
 * The format of the ledger that this package writes. 1 had no table to say so; each of its tables is in 2 as it was, so that
 * a command that writes only adds what is missing.
 */
export const LEDGER_FORMAT = 2;

/** Notes the format, behind the DDL. */
export const STAMP_FORMAT = `INSERT INTO ${T.format} (version) SELECT ${LEDGER_FORMAT} WHERE NOT EXISTS (SELECT 1 FROM ${T.format});
UPDATE ${T.format} SET version = ${LEDGER_FORMAT} WHERE version < ${LEDGER_FORMAT};`;

/** Times are ISO-8601 in UTC, keys stand as the table has them, booleans do not occur. */
export const LEDGER_DDL = `
CREATE TABLE IF NOT EXISTS ${T.steps} (
  name TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,              -- schema | sql | backfill | require | foreign
  status TEXT NOT NULL,            -- applying -> applied -> reverting -> (row deleted)
  fingerprint TEXT NOT NULL,       -- SHA-256 of the normalised declaration
  package_version TEXT NOT NULL,   -- of this package, when the step was begun
  started_at TEXT NOT NULL,
  applied_at TEXT,
  duration_ms INTEGER NOT NULL DEFAULT 0,
  objects INTEGER NOT NULL DEFAULT 0,  -- rows of the next table that belong to it
  reverted_cells INTEGER NOT NULL DEFAULT 0,  -- by a \`down\` under way
  kept_cells INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS ${T.objects} (   -- what a schema step made, and its \`down\` removes
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
  start_key,                       -- the cursor it began with
  watermark,                       -- last key in scope of the run, NULL when the table was empty
  cursor,                          -- last key done, exclusive; NULL before the first
  found_cells INTEGER NOT NULL,    -- cells up to the watermark that held their derived value before the run
  batches INTEGER NOT NULL DEFAULT 0,
  rows_scanned INTEGER NOT NULL DEFAULT 0,
  cells_filled INTEGER NOT NULL DEFAULT 0,
  cells_skipped INTEGER NOT NULL DEFAULT 0,
  started_at TEXT NOT NULL,
  filled_at TEXT,
  PRIMARY KEY (backfill, run)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.batches} (
  backfill TEXT NOT NULL,
  number INTEGER NOT NULL,         -- 1, 2, ... over all runs
  run INTEGER NOT NULL,
  first_key NOT NULL,
  last_key NOT NULL,
  rows_scanned INTEGER NOT NULL,
  cells_filled INTEGER NOT NULL,
  cells_skipped INTEGER NOT NULL,
  skips INTEGER NOT NULL,          -- rows that it put into the table of skips
  duration_ms REAL NOT NULL,
  committed_at TEXT NOT NULL,
  PRIMARY KEY (backfill, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.cells} (     -- which cells a batch filled: what exact rollback needs
  backfill TEXT NOT NULL,
  batch INTEGER NOT NULL,
  columns TEXT NOT NULL,           -- JSON array: the columns filled in each of these rows
  first_key NOT NULL,
  keys BLOB NOT NULL,              -- integers: runs of consecutive keys from first_key on, see key-runs.ts; texts: see key-texts.ts
  PRIMARY KEY (backfill, batch, columns)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.skips} (
  backfill TEXT NOT NULL,
  key NOT NULL,
  target TEXT NOT NULL,            -- a column, or * for the whole row
  reason TEXT NOT NULL,
  batch INTEGER NOT NULL,
  PRIMARY KEY (backfill, key, target)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.verifications} (
  backfill TEXT NOT NULL,
  number INTEGER NOT NULL,         -- 1, 2, ...
  run INTEGER NOT NULL,            -- the last run that it saw
  verdict TEXT NOT NULL,           -- pass | warn | fail
  verified_at TEXT NOT NULL,
  checks TEXT NOT NULL,            -- JSON: each check's verdict and counts
  PRIMARY KEY (backfill, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.commands} (  -- what changed the store, and the backup made before it
  number INTEGER PRIMARY KEY,      -- 1, 2, ...
  command TEXT NOT NULL,           -- up | down | rescan | backfill
  steps TEXT NOT NULL,             -- JSON array: the steps that it was to work on
  backup TEXT,                     -- path; NULL where none was wanted
  begun_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS ${T.declarations} (  -- what batches were filled by, from the first that was
  backfill TEXT NOT NULL,
  first_batch INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  declaration TEXT NOT NULL,       -- JSON: table, key, scope, columns with what fills each; of a function its version
  process TEXT,                    -- text of the function; NULL where there is none
  PRIMARY KEY (backfill, first_batch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.kept} (      -- cells that a \`down\` under way has left alone for another reason than a change
  backfill TEXT NOT NULL,
  reason TEXT NOT NULL,            -- gone | underivable
  cells INTEGER NOT NULL,
  PRIMARY KEY (backfill, reason)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.format} (    -- one row
  version INTEGER NOT NULL
);
${STAMP_FORMAT}
CREATE TABLE IF NOT EXISTS ${T.tables} (    -- the table of a backfill, when its rows were last looked for from the first key
  backfill TEXT PRIMARY KEY NOT NULL,
  identity TEXT NOT NULL,          -- its root page and its SQL
  run INTEGER NOT NULL,            -- the last run that was begun by then
  watermark,                       -- last key up to which rows were looked for, NULL when the table was empty
  probes TEXT NOT NULL             -- JSON array: a few cells that were filled, [column, key] each
);
CREATE TABLE IF NOT EXISTS ${T.backups} (   -- what a backup was when it was made: a restore compares it
  path TEXT PRIMARY KEY NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL             -- in hexadecimal
);
`;

/** Drops the ledger; done when its last step is reverted, so that `down --to 0` leaves the schema as it was. */
export const LEDGER_DROP = Object.values(T)
  .map((name) => `DROP TABLE IF EXISTS ${name};`)
  .join('\n');
