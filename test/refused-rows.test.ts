import { expect } from 'chai';
import { describe, it } from 'mocha';
import { codeOf, down, up } from './support/migrate.js';
import { targets } from './support/reference.js';
import { cells, expectAroundObstacle, type Obstacle, refusing, rows } from './support/refusals.js';
import {
  type Audit,
  asAgentOs,
  change,
  dumpTable,
  insertAudits,
  query,
  withGeneratedStore,
} from './support/stores.js';

// A row that SQLite refuses to update, or that a trigger keeps NULL, is left alone and recorded: every other row is filled
// as if it were not there.

const generated = (obstacle: Obstacle, journalMode: 'wal' | 'delete' = 'wal') =>
  withGeneratedStore({ audits: 40, supervisorShare: 1, rareShare: 0, journalMode }, (path) =>
    expectAroundObstacle(path, obstacle),
  );

/** An obstacle in a store with these rows alone; `prepare` changes it before they are written. */
const inserted = (audits: readonly Audit[], obstacle: Obstacle, prepare = '') =>
  withGeneratedStore({ audits: 0 }, async (path) => {
    change(path, prepare);
    asAgentOs(path, (db) => insertAudits(db, audits));
    await expectAroundObstacle(path, obstacle);
  });

/** Forty rows with a time of their own each, in Unix seconds; `other` are told otherwise, by their keys. */
const timed = (other: Readonly<Record<number, object>> = {}): Audit[] =>
  Array.from({ length: 40 }, (_, i) => ({
    payload: JSON.stringify({ source_ts: 1_768_903_200 + i, timestamp: 1_768_903_300 + i, ...other[i + 1] }),
  }));

/** The table of audits, made by SQL, at v21. */
const ownTable = (key: string, source: string, rest: string): string =>
  `DROP TABLE IF EXISTS task_audits; CREATE TABLE task_audits (audit_id ${key}, event_type TEXT, payload TEXT,
    created_at TIMESTAMP, source_event_ts ${source}, supervisor_processed_at TEXT${rest})`;

const TRIGGER = 'SQLITE_CONSTRAINT_TRIGGER';
const unblock = 'DROP TRIGGER refusing';

/** Batches of 16 rows end with the keys 16, 32 and 40. */
const places = [
  ['one row', [7]],
  ['scattered rows', [3, 11, 14, 22, 35]],
  ['two adjacent rows', [20, 21]],
  ['two adjacent rows in two batches', [16, 17]],
  ['the first and the last row', [1, 40]],
  ['ten rows in a row', [12, 13, 14, 15, 16, 17, 18, 19, 20, 21]],
] as const;

// ABORT in each place; what the others leave of a statement and a transaction shows in a batch of several and in one row of each of two.
const telling = ['scattered rows', 'two adjacent rows in two batches'];

for (const raise of [`ABORT, 'never'`, `FAIL, 'never'`, `ROLLBACK, 'never'`, 'IGNORE']) {
  describe(`a trigger with RAISE(${raise})`, () => {
    for (const [what, keys] of places.filter(
      ([what]) => raise.startsWith('ABORT') || telling.includes(what),
    )) {
      const blocked = raise === 'IGNORE' ? cells(keys, 'UPDATE_IGNORED') : rows(keys, TRIGGER);
      it(`on ${what}`, () => generated({ block: refusing(keys, raise), unblock, blocked }));
    }
  });
}

describe('a trigger', () => {
  for (const raise of ['ABORT', 'ROLLBACK'])
    it(`that refuses with ${raise} in rollback mode`, () =>
      generated(
        { block: refusing([16, 30], `${raise}, ''`), unblock, blocked: rows([16, 30], TRIGGER) },
        'delete',
      ));

  it('that refuses behind the update', () =>
    generated({
      block: refusing([7], `ABORT, ''`, { time: 'AFTER' }),
      unblock,
      blocked: rows([7], TRIGGER),
    }));

  it('that ignores what is left of itself behind the update, which stands', () =>
    generated({
      block: `${refusing([7], 'IGNORE', { time: 'AFTER' })}; ${refusing([9], 'IGNORE', { trigger: 'ignoring' })}`,
      unblock: `${unblock}; DROP TRIGGER ignoring`,
      blocked: cells([9], 'UPDATE_IGNORED'),
    }));

  it('that takes one of the values back', () =>
    generated({
      block: `CREATE TRIGGER refusing AFTER UPDATE ON task_audits
        WHEN new.audit_id IN (16, 20) AND new.source_event_ts IS NOT NULL
        BEGIN UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = new.audit_id; END`,
      unblock,
      blocked: [16, 20].map((key) => ({ key, target: 'source_event_ts', reason: 'UPDATE_IGNORED' })),
    }));

  it('that refuses one row and ignores another, in one batch', () =>
    generated({
      block: `${refusing([4, 9], `ABORT, ''`)}; ${refusing([5, 8], 'IGNORE', { trigger: 'ignoring' })}`,
      unblock: `${unblock}; DROP TRIGGER ignoring`,
      blocked: [...rows([4, 9], TRIGGER), ...cells([5, 8], 'UPDATE_IGNORED')],
    }));

  for (const [reason, table, statement] of [
    ['SQLITE_CONSTRAINT_NOTNULL', 'l (a NOT NULL)', 'INSERT INTO l VALUES (NULL)'],
    ['SQLITE_CONSTRAINT_FOREIGNKEY', 'l (a REFERENCES task_audits (audit_id))', 'INSERT INTO l VALUES (-1)'],
    [
      'SQLITE_CONSTRAINT_FOREIGNKEY',
      'l (a REFERENCES tasks DEFERRABLE INITIALLY DEFERRED)',
      'INSERT INTO l VALUES (-1)',
    ],
    ['SQLITE_MISMATCH', 'l (a INTEGER PRIMARY KEY)', `INSERT INTO l VALUES ('a')`],
    ['SQLITE_TOOBIG', 'l (a)', 'INSERT INTO l VALUES (zeroblob(2000000000))'],
    ['SQLITE_ERROR', 'l (a)', `INSERT INTO l VALUES (json('no'))`],
  ] as const) {
    const when = table.includes('DEFERRED') ? 'only at COMMIT ' : '';
    it(`in which a statement fails ${when}with ${reason}`, () =>
      generated({
        block: `CREATE TABLE ${table};
          CREATE TRIGGER refusing AFTER UPDATE ON task_audits WHEN old.audit_id IN (16, 20) BEGIN ${statement}; END`,
        unblock,
        blocked: rows([16, 20], reason),
        check: (path) => expect(query(path, 'SELECT count(*) FROM l')).to.deep.equal([0]),
      }));
  }

  for (const raise of [`ABORT, ''`, `FAIL, ''`, `ROLLBACK, ''`])
    it(`that writes elsewhere and then may RAISE(${raise}) writes once for each row that is filled, never for others`, () =>
      generated({
        block: `CREATE TABLE log (key, source, processed);
          CREATE TRIGGER refusing AFTER UPDATE ON task_audits WHEN new.source_event_ts IS NOT NULL BEGIN
            INSERT INTO log VALUES (new.audit_id, new.source_event_ts, new.supervisor_processed_at);
            SELECT RAISE(${raise}) WHERE new.audit_id IN (2, 20, 21);
          END`,
        unblock,
        blocked: rows([2, 20, 21], TRIGGER),
        check: (path) => {
          const filled = `SELECT audit_id || ' ' || source_event_ts || ' ' || supervisor_processed_at FROM task_audits
            WHERE audit_id NOT IN (2, 20, 21) ORDER BY audit_id`;
          const logged = `SELECT key || ' ' || source || ' ' || processed FROM log ORDER BY key`;
          expect(query(path, logged)).to.deep.equal(query(path, filled)).and.to.have.lengthOf(37);
          change(path, 'DELETE FROM log');
        },
      }));
});

describe('rows that are refused', () => {
  const [source, processed] = ['2026-01-20T10:00:00Z', '2026-01-20T10:00:01Z'];
  const payload = JSON.stringify({ source_ts: source, processed_at: processed });
  const columns = targets.map(({ column }) => `ALTER TABLE task_audits ADD COLUMN ${column} TEXT`).join(';');

  it('count as such only where there was something to fill', () =>
    inserted(
      [
        { payload: 'no JSON' },
        { payload: '{}', createdAt: null },
        { payload: JSON.stringify({ timestamp: processed }), createdAt: '' },
        { cells: [source, null], payload: JSON.stringify({ processed_at: processed }) },
        { cells: [source, processed] },
        { payload: JSON.stringify({ source_ts: source }), createdAt: null },
        { eventType: 'TASK_CREATED' },
        {},
      ],
      {
        block: refusing([1, 2, 3, 4, 5, 7], `ABORT, ''`),
        unblock,
        blocked: rows([3, 4], TRIGGER),
      },
      columns,
    ));

  it('are no others where a trigger ignores rows of which one column was filled before', () =>
    inserted(
      [
        { cells: [source, null], payload },
        { cells: [null, processed], payload },
        { cells: [source, processed], payload },
        {},
        {},
      ],
      {
        block: refusing([1, 2, 3, 4], 'IGNORE'),
        unblock,
        blocked: [
          { key: 1, target: 'supervisor_processed_at', reason: 'UPDATE_IGNORED' },
          { key: 2, target: 'source_event_ts', reason: 'UPDATE_IGNORED' },
          ...cells([4], 'UPDATE_IGNORED'),
        ],
      },
      columns,
    ));

  it('may have keys that JavaScript has no number for', () => {
    const keys = [-(2n ** 62n), -1n, 0n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 53n + 2n, 2n ** 62n];
    const blocked = keys.filter((_, i) => i % 2 === 0);
    return inserted(
      keys.map((key) => ({ key, payload: null })),
      { block: refusing(blocked, `ABORT, ''`), unblock, blocked: rows(blocked, TRIGGER), batchRows: 4 },
    );
  });
});

describe('a constraint', () => {
  it('of a UNIQUE index on a column that is filled', () =>
    inserted(timed({ 20: { source_ts: 1_768_903_205 } }), {
      block: 'CREATE UNIQUE INDEX refusing ON task_audits (source_event_ts)',
      unblock: 'DROP INDEX refusing',
      blocked: rows([20], 'SQLITE_CONSTRAINT_UNIQUE'),
    }));

  it('of CHECK on a column that is filled', () =>
    inserted(
      timed({ 16: { source_ts: 1 }, 17: { source_ts: 2 } }),
      {
        block: '',
        unblock: `UPDATE task_audits SET payload = replace(payload, '"source_ts":', '"source_ts":176890320')
          WHERE audit_id IN (16, 17)`,
        blocked: rows([16, 17], 'SQLITE_CONSTRAINT_CHECK'),
      },
      'ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT CHECK (length(source_event_ts) > 2)',
    ));

  const placesOf = (clause: string) =>
    [
      ['UNIQUE on a column', `TEXT UNIQUE ON CONFLICT ${clause}`, ''],
      ['UNIQUE of a table', 'TEXT', `, UNIQUE (source_event_ts) ON CONFLICT ${clause}`],
      ['PRIMARY KEY', `TEXT PRIMARY KEY ON CONFLICT ${clause}`, ''],
    ] as const;
  // REPLACE, which loses a row, in each place; each other clause in one.
  for (const [n, clause] of ['REPLACE', 'IGNORE', 'FAIL', 'ROLLBACK', 'ABORT'].entries())
    for (const [what, column, rest] of placesOf(clause).filter((_, at) => n === 0 || at === n % 3))
      it(`${what} with ON CONFLICT ${clause} keeps every row`, () =>
        inserted(
          timed({ 20: { source_ts: 1_768_903_205 }, 33: { source_ts: 1_768_903_202 } }).map((audit, i) => ({
            ...audit,
            key: i + 1,
          })),
          {
            block: '',
            unblock: `UPDATE task_audits SET payload = replace(payload, '"source_ts":17689032', '"source_ts":17689029')
              WHERE audit_id IN (20, 33)`,
            blocked: rows([20, 33], `SQLITE_CONSTRAINT_${what === 'PRIMARY KEY' ? 'PRIMARYKEY' : 'UNIQUE'}`),
          },
          ownTable(what === 'PRIMARY KEY' ? 'INTEGER UNIQUE' : 'INTEGER PRIMARY KEY', column, rest),
        ));

  it('of CHECK with ON CONFLICT keeps every row', () =>
    inserted(
      timed({ 16: { source_ts: 1 } }),
      {
        block: '',
        unblock: `UPDATE task_audits SET payload = replace(payload, '"source_ts":', '"source_ts":176890320')
          WHERE audit_id = 16`,
        blocked: rows([16], 'SQLITE_CONSTRAINT_CHECK'),
      },
      ownTable('INTEGER PRIMARY KEY', 'TEXT', ', CHECK (length(source_event_ts) > 2) ON CONFLICT IGNORE'),
    ));

  for (const clause of ['REPLACE', 'IGNORE'])
    it(`of NOT NULL with ON CONFLICT ${clause}, made behind the fill, ends \`down\` and changes no cell`, () =>
      withGeneratedStore({ audits: 0 }, async (path) => {
        change(path, ownTable('INTEGER PRIMARY KEY', 'TEXT', ''));
        asAgentOs(path, (db) => insertAudits(db, timed()));
        expect(codeOf(await up(path, { backup: false }))).to.equal(undefined);
        change(
          path,
          `ALTER TABLE task_audits RENAME TO old;
          ${ownTable('INTEGER PRIMARY KEY', `TEXT NOT NULL ON CONFLICT ${clause} DEFAULT 'none'`, '')};
          INSERT INTO task_audits SELECT * FROM old; DROP TABLE old`,
        );
        const before = dumpTable(path);
        expect(codeOf(await down(path, {}, { backup: false }))).to.equal('STATEMENT_REJECTED');
        expect(dumpTable(path)).to.deep.equal(before);
      }));

  it('with ON CONFLICT leaves the conflict clauses of triggers as they are in a table without one', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      asAgentOs(path, (db) => insertAudits(db, timed()));
      change(
        path,
        `CREATE TABLE latest (event_type PRIMARY KEY, audit_id);
        CREATE TRIGGER keeping AFTER UPDATE ON task_audits BEGIN
          INSERT OR REPLACE INTO latest VALUES (new.event_type, new.audit_id);
        END`,
      );
      const outcome = await up(path, { allowTriggers: true, backup: false });
      expect(codeOf(outcome)).to.equal(undefined);
      expect(query(path, 'SELECT count(source_event_ts) FROM task_audits')).to.deep.equal([40]);
      expect(query(path, 'SELECT count(*) FROM latest')).to.deep.equal([1]);
    }));
});

describe('an index on an expression', () => {
  it('that fails on the new value of one row', () =>
    inserted(timed({ 23: { source_ts: '2026-01-20T10:00:00Z' } }), {
      block: `CREATE INDEX refusing ON task_audits (json_extract(source_event_ts, '$'))`,
      unblock: 'DROP INDEX refusing',
      blocked: rows([23], 'SQLITE_ERROR'),
    }));
});
