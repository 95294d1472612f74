/** What each step of SQL below is run on, with a row in each table. */
export const SCHEMA = `
  CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
  CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, p_id INTEGER REFERENCES p ON DELETE CASCADE);
  INSERT INTO p VALUES (1, 'x');
  INSERT INTO t VALUES (1, 'x', 'y', 1), (2, 'x', 'z', 1);`;

/** What a step of SQL does; without `down` it has some. */
export interface Sql {
  readonly up: readonly string[];
  readonly down?: readonly string[] | undefined;
}

/** Steps that trigger a rule, and steps that come near and do not. */
export interface Row {
  readonly bad: readonly Sql[];
  readonly fine: readonly Sql[];
  /** Whether SQLite refuses what triggers it. */
  readonly isRefused?: boolean;
  /** Oldest SQLite that they are for. Default: the one of this process. */
  readonly sqlite?: string;
}

/** A step that does this, and has some `down`. */
export const up = (...statements: readonly string[]): Sql => ({ up: statements });

/** By the name of the rule. */
export const rows: Readonly<Record<string, Row>> = {
  'table-rebuild': {
    bad: [
      up(
        'CREATE TABLE new_t (id INTEGER PRIMARY KEY, a TEXT NOT NULL)',
        'INSERT INTO new_t SELECT id, a FROM t',
        'DROP TABLE t',
        'ALTER TABLE new_t RENAME TO t',
      ),
      up('CREATE TABLE "new t" AS SELECT * FROM t', 'DROP TABLE [t]', 'ALTER TABLE `new t` RENAME TO T'),
      up('ALTER TABLE t DROP COLUMN b'),
      up('alter /* x */ table main."t" drop b'),
    ],
    fine: [
      up('CREATE TABLE new_t (id INTEGER PRIMARY KEY)', 'ALTER TABLE new_t RENAME TO newer_t'),
      up('CREATE TABLE new_t (id, b)', 'ALTER TABLE new_t DROP COLUMN b'),
      up("INSERT INTO t (a) VALUES ('ALTER TABLE t DROP COLUMN b')"),
      { up: ['ALTER TABLE t ADD COLUMN c TEXT'], down: ['ALTER TABLE t DROP COLUMN c'] },
    ],
  },
  'index-on-large-table': {
    bad: [
      up('CREATE INDEX i ON t (a)'),
      up('CREATE INDEX IF NOT EXISTS main.i ON t (a) WHERE a IS NOT NULL'),
      up('CREATE UNIQUE INDEX i ON t (a, b)'),
      up('CREATE TABLE IF NOT EXISTS t (a)', 'CREATE INDEX i ON t (a)'),
    ],
    fine: [
      up('CREATE TABLE made (a)', 'CREATE INDEX i ON made (a)'),
      up('CREATE VIEW v AS SELECT a AS "CREATE INDEX" FROM t -- CREATE INDEX i ON t (a)'),
    ],
  },
  'data-change-in-sql-step': {
    bad: [
      up("UPDATE t SET a = 'new'"),
      up("UPDATE OR IGNORE t SET a = 'new' WHERE a = 'x'"),
      up("UPDATE t SET a = 'new' WHERE id = 1 OR a = 'x'"),
      up("UPDATE t SET a = 'new' WHERE id IN (SELECT id FROM p)"),
      up('UPDATE t SET a = (SELECT (code) FROM p WHERE id = 1)'),
      up("WITH c (x) AS (SELECT 1) UPDATE t SET a = 'new' WHERE b IN (SELECT x FROM c)"),
      up('DELETE FROM t'),
      up("DELETE FROM t WHERE a = 'y'"),
      up('CREATE TABLE made (a)', 'INSERT INTO made SELECT a FROM t'),
      up('CREATE TABLE made (a)', 'WITH c AS (SELECT a FROM t) INSERT INTO made SELECT a FROM c'),
      up('CREATE TABLE made AS SELECT a FROM (SELECT a FROM t)'),
    ],
    fine: [
      up("UPDATE t SET a = 'new' WHERE id = 1"),
      up("UPDATE t SET a = 'new' WHERE b = 'x' AND id IN (1, 2)"),
      up("UPDATE t SET a = (SELECT (code) FROM p WHERE code = 'x') WHERE id = 1"),
      up('DELETE FROM t WHERE rowid = 1'),
      up("INSERT INTO t (a) VALUES ('x'), ('y')"),
      up("INSERT INTO t (a) SELECT value FROM json_each('[1, 2]')"),
      up(
        'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) INSERT INTO t (a) SELECT i FROM n',
      ),
      up('CREATE TABLE made (a)', 'INSERT INTO made VALUES (1)', 'UPDATE made SET a = 2', 'DELETE FROM made'),
      up('CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET a = 1; END'),
      up(`INSERT INTO t (a) SELECT value IS DISTINCT FROM id FROM json_each('[1]')`),
      up('CREATE TEMP TABLE made (a)', 'UPDATE temp.made SET a = 1'),
      up('CREATE TABLE n AS SELECT * FROM t', 'DROP TABLE t', 'ALTER TABLE n RENAME TO t'),
    ],
  },
  'not-null-without-default': {
    isRefused: true,
    bad: [
      up('ALTER TABLE t ADD COLUMN c TEXT NOT NULL'),
      up('ALTER TABLE t ADD c TEXT CHECK (c IS NOT NULL) NOT NULL'),
      up('ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT NULL'),
      up('ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT (NULL)'),
    ],
    fine: [
      up('ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 0'),
      up(`ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'NULL'`),
      up('ALTER TABLE t ADD COLUMN c TEXT'),
      up('ALTER TABLE t ADD COLUMN c TEXT DEFAULT 1 CHECK (c IS NOT NULL)'),
      up(`ALTER TABLE t ADD COLUMN "not null" TEXT`),
      up('ALTER TABLE t ADD COLUMN c TEXT GENERATED ALWAYS AS (a) NOT NULL'),
      up('CREATE TABLE made (a)', 'ALTER TABLE made ADD COLUMN c TEXT NOT NULL'),
    ],
  },
  'refused-default': {
    isRefused: true,
    bad: [
      up('ALTER TABLE t ADD COLUMN c TEXT DEFAULT CURRENT_TIMESTAMP'),
      up(`ALTER TABLE t ADD COLUMN c TEXT DEFAULT (datetime('now'))`),
      up('ALTER TABLE t ADD COLUMN c INTEGER DEFAULT (1 + 1)'),
      up('ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 1 REFERENCES p'),
    ],
    fine: [
      up('ALTER TABLE t ADD COLUMN c INTEGER DEFAULT -1'),
      up('ALTER TABLE t ADD COLUMN c INTEGER DEFAULT (-1.5)'),
      up('ALTER TABLE t ADD COLUMN c REAL DEFAULT 1.5e3'),
      up('ALTER TABLE t ADD COLUMN c REAL DEFAULT -.5'),
      up("ALTER TABLE t ADD COLUMN c BLOB DEFAULT x'ab'"),
      up(`ALTER TABLE t ADD COLUMN c TEXT DEFAULT ('CURRENT_TIMESTAMP')`),
      up('ALTER TABLE t ADD COLUMN c TEXT DEFAULT TRUE'),
      up('ALTER TABLE t ADD COLUMN c INTEGER DEFAULT NULL REFERENCES p'),
      up('ALTER TABLE t ADD COLUMN c INTEGER REFERENCES p'),
      up('CREATE TABLE made (a, b TEXT DEFAULT CURRENT_TIMESTAMP)'),
    ],
  },
  'unique-index-on-rows': {
    isRefused: true,
    bad: [up('CREATE UNIQUE INDEX i ON t (a)')],
    fine: [
      up('CREATE INDEX i ON t (a)'),
      up('CREATE TABLE made (a)', 'CREATE UNIQUE INDEX i ON made (a)'),
      up('CREATE INDEX "unique index" ON t (a)'),
    ],
  },
  'down-missing': {
    bad: [
      { up: ['CREATE VIEW v AS SELECT 1'], down: undefined },
      { up: ['CREATE VIEW v AS SELECT 1'], down: [] },
    ],
    fine: [
      { up: ['CREATE VIEW v AS SELECT 1'], down: ['DROP VIEW v'] },
      { up: ['ANALYZE'], down: [] },
    ],
  },
  'not-reversible': {
    bad: [
      { up: ['DROP TABLE t'], down: ['CREATE TABLE t (id)'] },
      up('ALTER TABLE t DROP COLUMN b'),
      up('DELETE FROM t WHERE id = 1'),
      { up: ["UPDATE t SET a = 'new'"], down: ['UPDATE t SET a = NULL'] },
      up("INSERT OR REPLACE INTO t (id, a) VALUES (1, 'new')"),
      up("REPLACE INTO t (id, a) VALUES (1, 'new')"),
      up("INSERT INTO t (id, a) VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET a = excluded.a"),
      {
        up: ['ALTER TABLE t ADD COLUMN c TEXT', 'UPDATE t SET c = a, b = 1'],
        down: ['ALTER TABLE t DROP COLUMN c'],
      },
    ],
    fine: [
      { up: ["INSERT INTO t (id, a) VALUES (3, 'new')"], down: ['DELETE FROM t WHERE id = 3'] },
      {
        up: ['ALTER TABLE t ADD COLUMN c TEXT', 'UPDATE t SET c = a'],
        down: ['ALTER TABLE t DROP COLUMN c'],
      },
      {
        up: ['CREATE TABLE kept AS SELECT * FROM t WHERE id = 1', 'DELETE FROM t WHERE id = 1'],
        down: ['INSERT INTO t SELECT * FROM kept', 'DROP TABLE kept'],
      },
      {
        up: ['CREATE TABLE kept AS SELECT id, a FROM t', "UPDATE t SET a = 'new'"],
        down: ['UPDATE t SET a = k.a FROM kept AS k WHERE k.id = t.id', 'DROP TABLE kept'],
      },
      {
        up: ['CREATE TABLE kept AS SELECT * FROM t', 'DROP TABLE t'],
        down: ['ALTER TABLE kept RENAME TO t'],
      },
      up('CREATE TABLE made (a)', 'DROP TABLE made'),
      up('CREATE VIEW v AS SELECT 1', 'DROP VIEW v'),
    ],
  },
  'conditional-create': {
    bad: [
      { up: ['CREATE TABLE IF NOT EXISTS made (a)'], down: ['DROP TABLE made'] },
      { up: ['CREATE INDEX IF NOT EXISTS i ON t (a)'], down: ['DROP INDEX IF EXISTS I'] },
      { up: ['CREATE VIEW IF NOT EXISTS v AS SELECT 1'], down: ['DROP VIEW v'] },
    ],
    fine: [
      { up: ['CREATE TABLE made (a)'], down: ['DROP TABLE IF EXISTS made'] },
      { up: ['CREATE TABLE IF NOT EXISTS made (a)'], down: [] },
    ],
  },
  'drop-table-cascade': {
    bad: [
      up(
        'CREATE TABLE new_p (id INTEGER PRIMARY KEY)',
        'INSERT INTO new_p SELECT id FROM p',
        'DROP TABLE p',
        'ALTER TABLE new_p RENAME TO p',
      ),
    ],
    fine: [up('DROP TABLE t'), up('CREATE TABLE made (a)', 'DROP TABLE made')],
  },
  'rename-in-use': {
    bad: [
      up('ALTER TABLE t RENAME COLUMN a TO c'),
      up('ALTER TABLE t RENAME a TO c'),
      up('ALTER TABLE "t" RENAME TO t2'),
    ],
    fine: [
      up('CREATE TABLE made (a)', 'ALTER TABLE made RENAME TO made2'),
      up('ALTER TABLE t ADD COLUMN "rename" TEXT'),
    ],
  },
  'string-type': {
    bad: [up('ALTER TABLE t ADD COLUMN c STRING'), up('CREATE TABLE made (a TEXT, "b" string NOT NULL)')],
    fine: [
      up('ALTER TABLE t ADD COLUMN string TEXT'),
      up('CREATE TABLE made (string TEXT, a TEXT DEFAULT (1), b)'),
    ],
  },
  'newer-sqlite': {
    sqlite: '3.23',
    bad: [
      up('INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO NOTHING'),
      up('ALTER TABLE t RENAME COLUMN a TO c'),
      up('ALTER TABLE t DROP COLUMN b'),
      up("UPDATE t SET a = 'x' RETURNING id"),
      up('UPDATE t SET a = p.code FROM p WHERE p.id = t.p_id'),
      up('CREATE TABLE made (a TEXT) STRICT'),
      up('CREATE TABLE made (a TEXT, b TEXT AS (upper(a)))'),
      up('ALTER TABLE t ADD COLUMN c TEXT GENERATED ALWAYS AS (a) VIRTUAL'),
      up(`CREATE VIEW v AS SELECT a ->> '$.x' AS x FROM t`),
      up('CREATE VIEW v AS SELECT p.id FROM t RIGHT JOIN p ON p.id = t.p_id'),
      up('CREATE VIEW v AS SELECT row_number() OVER (ORDER BY a) FROM t'),
      up('CREATE VIEW v AS SELECT count(*) FILTER (WHERE a > 1) FROM t'),
      up('CREATE VIEW v AS SELECT a FROM t ORDER BY a NULLS LAST'),
      up('CREATE VIEW v AS WITH c AS MATERIALIZED (SELECT 1 AS x) SELECT x FROM c'),
      up('CREATE VIEW v AS SELECT a IS NOT DISTINCT FROM b FROM t'),
      up('CREATE VIEW v AS SELECT iif(a, 1, 2) FROM t'),
      up('ALTER TABLE t ALTER COLUMN a SET NOT NULL'),
      { up: ['ALTER TABLE t ADD COLUMN c TEXT'], down: ['ALTER TABLE t DROP COLUMN c'] },
    ],
    fine: [
      up('CREATE TABLE strict (sign TEXT, format, CHECK (sign <> format))'),
      up('CREATE TABLE sign (a)', 'INSERT INTO sign (a) VALUES (1)'),
      up("INSERT INTO t (a) VALUES ('->> RETURNING, RIGHT JOIN, OVER (')"),
      up('CREATE VIEW v AS SELECT a AS "returning" FROM t -- a ->> b'),
      up('CREATE TABLE made (a TEXT UNIQUE ON CONFLICT IGNORE)'),
      up('CREATE VIEW v AS SELECT CAST(a AS TEXT), a - - 1 > 0 FROM t LEFT JOIN p ON true'),
    ],
  },
};
