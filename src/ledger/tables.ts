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

/** The format of the ledger that this package writes; format.ts says what becomes of others. */
export const LEDGER_FORMAT = 4;

/**
 * The tables of every engine; {@link ledgerDdl} puts its types in the place of the upper-case words. Times are ISO-8601 in UTC, booleans are
 * 0 and 1.
 */
const TEMPLATE = `
CREATE TABLE IF NOT EXISTS ${T.steps} (
  name TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,              -- schema | sql | backfill | require | external
  status TEXT NOT NULL,            -- applying -> applied -> reverting -> (row deleted)
  fingerprint TEXT NOT NULL,       -- SHA-256 of the normalised declaration
  package_version TEXT NOT NULL,   -- of this package, when the step was begun
  started_at TEXT NOT NULL,
  applied_at TEXT,
  duration_ms INTEGER NOT NULL DEFAULT 0,
  object_count INTEGER NOT NULL DEFAULT 0,  -- rows of the next table that belong to it
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
  start_key ANY,                   -- the last key before it
  watermark ANY,                   -- last key in scope of the run, NULL when the table was empty
  prefilled_cells INTEGER,         -- cells up to the watermark that held their derived value before the run; NULL until they are counted
  started_at TEXT NOT NULL,
  filled_at TEXT,
  PRIMARY KEY (backfill, run)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.ranges} (    -- the keys of a run, cut into one part or several; cursor and counts of all are those of the run
  backfill TEXT NOT NULL,
  run INTEGER NOT NULL,
  number INTEGER NOT NULL,         -- 1, 2, ...
  start_key ANY,                   -- last key before it; NULL for the first of all
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
  number INTEGER NOT NULL,         -- rising, over all runs
  run INTEGER NOT NULL,
  range_number INTEGER NOT NULL,
  first_key ANY NOT NULL,
  last_key ANY NOT NULL,
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
  evidence TEXT NOT NULL,          -- derived: the value can be derived again from the row; recorded: the next table has it
  first_key ANY NOT NULL,
  keys BLOB NOT NULL,              -- integers: runs of consecutive keys from first_key on; texts: deflated; see keys.ts
  PRIMARY KEY (backfill, batch, columns)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.recorded} (  -- cells whose value can not be derived again; none yet
  backfill TEXT NOT NULL,
  batch INTEGER NOT NULL,
  key ANY NOT NULL,
  target TEXT NOT NULL,            -- the column
  sha256 TEXT NOT NULL,            -- of the value that was written, in hexadecimal
  earlier TEXT,                    -- value that stood there before, as a literal; NULL where it was NULL
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
  run INTEGER NOT NULL,            -- the last run that it saw
  verdict TEXT NOT NULL,           -- pass | warn | fail
  verified_at TEXT NOT NULL,
  checks TEXT NOT NULL,            -- JSON: each check's verdict and counts
  PRIMARY KEY (backfill, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ${T.commands} (  -- what changed the store, and the backup made before it
  number SERIAL PRIMARY KEY,       -- 1, 2, ...
  command TEXT NOT NULL,           -- up | down | rescan | backfill
  steps TEXT NOT NULL,             -- JSON array: the steps that it was to work on
  backup TEXT,                     -- path; NULL where none was wanted
  started_at TEXT NOT NULL
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
INSERT INTO ${T.format} (version) SELECT ${LEDGER_FORMAT} WHERE NOT EXISTS (SELECT 1 FROM ${T.format});
CREATE TABLE IF NOT EXISTS ${T.tables} (    -- the table of a backfill, when its rows were last looked for from the first key
  backfill TEXT PRIMARY KEY NOT NULL,
  identity TEXT NOT NULL,          -- of its file and its definition
  run INTEGER NOT NULL,            -- the last run that was begun by then
  watermark ANY,                   -- last key up to which rows were looked for, NULL when the table was empty
  probes TEXT NOT NULL             -- JSON array: a few cells that were filled, [column, key] each
);
CREATE TABLE IF NOT EXISTS ${T.backups} (   -- what a backup was when it was made: a restore compares it
  path TEXT PRIMARY KEY NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL             -- in hexadecimal
);
`;

/** What an engine has in the place of some of the template's words; ` ANY` is what a key stands as. */
export type LedgerTypes = Readonly<
  Partial<Record<' TEXT' | ' INTEGER' | ' REAL' | ' BLOB' | ' ANY' | ' SERIAL' | ' WITHOUT ROWID', string>>
>;

/** SQLite's: keys stand as the table has them, so that their column has no type. */
export const SQLITE_TYPES: LedgerTypes = { ' ANY': '', ' SERIAL': ' INTEGER' };

/** DDL that makes the ledger's tables where they are missing, and notes the format. */
export const ledgerDdl = (types: LedgerTypes): string =>
  TEMPLATE.replace(
    / (?:TEXT|INTEGER|REAL|BLOB|ANY|SERIAL|WITHOUT ROWID)\b/g,
    (word) => types[word as keyof LedgerTypes] ?? word,
  );

/** Drops the ledger; done when its last step is reverted, so that `down --to 0` leaves the schema as it was. */
export const LEDGER_DROP = Object.values(T)
  .map((name) => `DROP TABLE IF EXISTS ${name};`)
  .join('\n');
