import type Database from 'better-sqlite3';
import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { StoreOptions } from '../demo/store-generator.js';
import { applySchemaStep, revertSchemaStep } from '../src/schema/run.js';
import type { RevertResult } from '../src/store/batch.js';
import { actualCells, type Cells, deriveRow, type StoredValue } from './support/reference.js';
import {
  agentOs,
  changedCells,
  connected,
  empty,
  failure,
  fill,
  ledgerCells,
  stoppedAfter,
  withV20,
} from './support/run-up.js';
import { backfillStep, dumpSchema, dumpTable, schemaStep } from './support/stores.js';

const columns = backfillStep.columns.map((column) => column.name);

// ---- what stands in the columns before the step --------------------------------------------------------------------

/** SQL that makes some of the columns as AgentOS v15 did, and fills some rows: with a text, or with what may be derived. */
const earlierColumns: fc.Arbitrary<string> = fc
  .record({
    present: fc.subarray(columns),
    rests: fc.array(fc.record({ rest: fc.nat(4), value: fc.constantFrom(`'own'`, `''`, 'created_at') }), {
      maxLength: 3,
    }),
  })
  .map(({ present, rests }) =>
    [
      ...present.map((column) => `ALTER TABLE task_audits ADD COLUMN ${column} TEXT`),
      ...(present.length === 2
        ? [`CREATE INDEX idx_task_audits_lag ON task_audits (${columns.join(', ')})`]
        : []),
      ...present.flatMap((column, i) =>
        rests.map(
          ({ rest, value }) =>
            `UPDATE task_audits SET ${column} = ${value} WHERE audit_id % 5 = ${(rest + i) % 5}`,
        ),
      ),
    ].join(';\n'),
  );

const storeOptions: fc.Arbitrary<Omit<StoreOptions, 'path'>> = fc.record({
  audits: fc.nat(30),
  seed: fc.nat(),
  rareShare: fc.constantFrom(0, 0.3),
  smallSchema: fc.boolean(),
  journalMode: fc.constantFrom('wal', 'delete'),
});

// ---- what AgentOS does between up and down -------------------------------------------------------------------------

interface Change {
  /** SQL with `$key`, a row's key, and `$column`, one of the two. */
  readonly sql: string;
  readonly row: number;
  readonly column: string;
}

const insert = (key: string): string =>
  `INSERT OR IGNORE INTO task_audits (audit_id, event_type, payload, $column)
  VALUES (${key}, 'SUPERVISOR_PAUSED', '{"source_ts":"s","timestamp":"s"}', 's')`;

const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.record({
    sql: fc.oneof(
      fc.constantFrom(
        `UPDATE task_audits SET $column = 'changed' WHERE audit_id = $key`,
        `UPDATE task_audits SET $column = '' WHERE audit_id = $key`,
        `UPDATE task_audits SET $column = NULL WHERE audit_id = $key`,
        // Same bytes, another type: changed as well.
        `UPDATE task_audits SET $column = CAST($column AS BLOB) WHERE audit_id = $key`,
        `DELETE FROM task_audits WHERE audit_id = $key`,
        `UPDATE task_audits SET payload = '{"source_ts":"s","timestamp":"s"}' WHERE audit_id = $key`,
        `UPDATE task_audits SET payload = '{' WHERE audit_id = $key`,
        `UPDATE task_audits SET created_at = '2026-03-01' WHERE audit_id = $key`,
        `UPDATE task_audits SET event_type = 'TASK_CREATED' WHERE audit_id = $key`,
        `UPDATE task_audits SET event_type = 'SUPERVISOR_PAUSED' WHERE audit_id = $key`,
      ),
      // With the key of a row that may have been deleted, with a smaller one, with the next.
      fc.constantFrom('$key', '-$key', 'NULL').map(insert),
    ),
    row: fc.nat(40),
    column: fc.constantFrom(...columns),
  }),
  { maxLength: 12 },
);

function apply(db: Database.Database, { sql, row, column }: Change): void {
  const small =
    db.prepare(`SELECT 1 FROM pragma_table_info('task_audits') WHERE name = 'task_id'`).get() === undefined;
  const statement = small
    ? sql
    : sql
        .replace('event_type, payload, $column)', 'event_type, payload, $column, task_id)')
        .replace(/'s'\)$/, `'s', 't')`);
  db.exec(statement.replaceAll('$key', String(row + 1)).replaceAll('$column', column));
}

// ---- what down must leave ------------------------------------------------------------------------------------------

/** What both columns of every row derive now, in scope or not. */
function derivedCells(db: Database.Database): Map<string, Cells> {
  const rows = db.prepare(
    `SELECT CAST(audit_id AS TEXT), typeof(payload), CAST(payload AS BLOB), typeof(created_at), CAST(created_at AS BLOB)
    FROM task_audits`,
  );
  type Type = StoredValue['type'];
  const all = rows.raw().all() as [key: string, Type, Buffer | null, Type, Buffer | null][];
  return new Map(
    all.map(([key, payloadType, payload, createdType, created]) => {
      const derived = deriveRow({
        payload: { type: payloadType, bytes: payload ?? Buffer.alloc(0) },
        createdAt: { type: createdType, bytes: created ?? Buffer.alloc(0) },
      });
      return [key, derived.map((cell) => (cell.kind === 'text' ? cell.text : null)) as unknown as Cells];
    }),
  );
}

/**
 * A cell that we filled goes if it holds what its row derives now; every other cell stays as AgentOS left it.
 *
 * @param filled the cells that up has changed, found from the table alone
 */
function afterDown(path: string, filled: ReadonlySet<string>): RevertResult & { cells: Map<string, Cells> } {
  const derived = agentOs(path, derivedCells);
  let [reverted, kept] = [0, 0];
  const cells = [...actualCells(path)].map(([key, row]) => {
    const left = row.map((value, i) => {
      if (value === null || !filled.has(`${key} ${columns[i]}`)) return value;
      const isDerived = value === derived.get(key)?.[i];
      if (isDerived) reverted += 1;
      else kept += 1;
      return isDerived ? null : value;
    });
    return [key, left as unknown as Cells] as const;
  });
  return { reverted, kept, cells: new Map(cells) };
}

const tables = (path: string) =>
  ['task_audits', 'schema_version', 'sqlite_sequence']
    .filter((table) =>
      agentOs(path, (db) => db.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(table)),
    )
    .map((table) => dumpTable(path, table));

describe('up, then down', () => {
  it('leaves what AgentOS wrote or changed meanwhile, and all else as it was', async () => {
    const property = fc.asyncProperty(
      fc.record({
        store: storeOptions,
        earlier: earlierColumns,
        batchRows: fc.integer({ min: 1, max: 12 }),
        meanwhile: fc.oneof(fc.constant([]), changes),
        stops: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      }),
      async ({ store, earlier, batchRows, meanwhile, stops }) =>
        withV20(
          store,
          async (at) => {
            const { path } = at;
            const before = { schema: dumpSchema(path), tables: tables(path), cells: actualCells(path) };
            applySchemaStep(at.store, at.ledger, schemaStep);
            await fill(at, { batchRows });
            const filled = changedCells(before.cells, actualCells(path));
            expect(ledgerCells(at.ledger)).to.have.members(filled);

            agentOs(path, (db) => {
              for (const change of meanwhile) apply(db, change);
            });
            const expected = afterDown(path, new Set(filled));
            const others = dumpTable(path, 'task_audits').map(withoutOurs);

            for (const k of stops) {
              if (k < at.ledger.batches(backfillStep.name).length)
                await failure(() => empty(at, stoppedAfter(k, batchRows)));
            }
            const result = await connected(path, (next) => empty(next));
            expect(result).to.deep.equal({ reverted: expected.reverted, kept: expected.kept });
            expect(actualCells(path)).to.deep.equal(expected.cells);
            expect(dumpTable(path, 'task_audits').map(withoutOurs)).to.deep.equal(others);

            const left = actualCells(path);
            revertSchemaStep(at.store, at.ledger, schemaStep, { isConfirmed: true });
            expect(dumpSchema(path)).to.deep.equal(before.schema);
            const stands = agentOs(path, (db) =>
              db.prepare(`SELECT name FROM pragma_table_info('task_audits')`).pluck().all(),
            );
            const kept = [...left].map(([key, row]) => [
              key,
              row.map((value, i) => (stands.includes(columns[i]) ? value : null)),
            ]);
            expect([...actualCells(path)]).to.deep.equal(kept);
            if (meanwhile.length === 0) expect(tables(path)).to.deep.equal(before.tables);
          },
          earlier,
        ),
    );
    await fc.assert(property, { numRuns: 100 });
  });
});

/** A row of a dump without the two columns. */
function withoutOurs(line: string): string {
  return line.replace(/ ?(?:source_event_ts|supervisor_processed_at)=\S+/g, '');
}
