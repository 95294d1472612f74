import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import { changedCells, theirTables } from './support/compare-fill.js';
import { ENGINES, needEngine, type TestEngine, type TestStore } from './support/engines.js';
import { expectSameMap, expectSameTables } from './support/expect-same.js';
import { isLong } from './support/long.js';
import { codeOf, down, name } from './support/migrate.js';
import { COLUMNS } from './support/oracle-words.js';
import type { Cells } from './support/reference.js';
import { emptied, filled, options, stoppedEmptying } from './support/resumable.js';

// ---- what stands in the columns before the step --------------------------------------------------------------------

/** SQL that makes some of the columns as AgentOS v15 did, and fills some rows: with a text, or with what may be derived. */
const earlierColumns: fc.Arbitrary<string> = fc
  .record({
    present: fc.subarray(COLUMNS),
    rests: fc.array(fc.record({ rest: fc.nat(4), value: fc.constantFrom(`'own'`, `''`, 'created_at') }), {
      maxLength: 3,
    }),
  })
  .map(({ present, rests }) =>
    [
      ...present.map((column) => `ALTER TABLE task_audits ADD COLUMN ${column} TEXT`),
      ...(present.length === 2
        ? [`CREATE INDEX idx_task_audits_lag ON task_audits (${COLUMNS.join(', ')})`]
        : []),
      ...present.flatMap((column, i) =>
        rests.map(
          ({ rest, value }) =>
            `UPDATE task_audits SET ${column} = ${value} WHERE audit_id % 5 = ${(rest + i) % 5}`,
        ),
      ),
    ].join(';\n'),
  );

const storeOptions = fc.record({
  audits: fc.nat(30),
  seed: fc.nat(),
  rareShare: fc.constantFrom(0, 0.3),
  smallSchema: fc.boolean(),
  journalMode: fc.constantFrom('wal' as const, 'delete' as const),
});

// ---- what AgentOS does between up and down -------------------------------------------------------------------------

interface Change {
  /** SQL with `$key`, a row's key, and `$column`, one of the two. */
  readonly sql: string;
  readonly row: number;
  readonly column: string;
}

const insert = (key: string): string =>
  `INSERT INTO task_audits (audit_id, event_type, payload, $column)
  SELECT ${key}, 'SUPERVISOR_PAUSED', '{"source_ts":"s","timestamp":"s"}', 's'
  WHERE NOT EXISTS (SELECT 1 FROM task_audits WHERE audit_id = ${key})`;

const changesOf = ({ name }: TestEngine): fc.Arbitrary<Change[]> =>
  fc.array(
    fc.record({
      sql: fc.oneof(
        fc.constantFrom(
          `UPDATE task_audits SET $column = 'changed' WHERE audit_id = $key`,
          `UPDATE task_audits SET $column = '' WHERE audit_id = $key`,
          `UPDATE task_audits SET $column = NULL WHERE audit_id = $key`,
          // Same bytes, another type: changed as well.
          ...(name === 'SQLite'
            ? [`UPDATE task_audits SET $column = CAST($column AS BLOB) WHERE audit_id = $key`]
            : []),
          `UPDATE task_audits SET $column = $column || ' ' WHERE audit_id = $key`,
          `DELETE FROM task_audits WHERE audit_id = $key`,
          `UPDATE task_audits SET payload = '{"source_ts":"s","timestamp":"s"}' WHERE audit_id = $key`,
          `UPDATE task_audits SET payload = '{' WHERE audit_id = $key`,
          // What PostgreSQL leaves to this program.
          `UPDATE task_audits SET payload = '{"source_ts":NaN}' WHERE audit_id = $key`,
          `UPDATE task_audits SET created_at = '2026-03-01' WHERE audit_id = $key`,
          `UPDATE task_audits SET event_type = 'TASK_CREATED' WHERE audit_id = $key`,
          `UPDATE task_audits SET event_type = 'SUPERVISOR_PAUSED' WHERE audit_id = $key`,
        ),
        // With the key of a row that may have been deleted, with a smaller one, with one far behind.
        fc.constantFrom('$key', '-$key', '100 + $key').map(insert),
      ),
      row: fc.nat(40),
      column: fc.constantFrom(...COLUMNS),
    }),
    { maxLength: 12 },
  );

/** Makes changes in turn. */
async function apply(store: TestStore, changes: readonly Change[], smallSchema: boolean): Promise<void> {
  const statements = changes.map(({ sql, row, column }) =>
    (smallSchema
      ? sql
      : sql
          .replace('payload, $column)', `payload, $column, task_id)`)
          .replace(`'s'\n`, `'s', 'task_000000'\n`)
    )
      .replaceAll('$key', String(row + 1))
      .replaceAll('$column', column),
  );
  if (!smallSchema)
    statements.unshift(
      `INSERT INTO tasks (task_id) SELECT 'task_000000' WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE task_id = 'task_000000')`,
    );
  await store.change(statements.join(';\n'));
}

// ---- what down must leave ------------------------------------------------------------------------------------------

/**
 * A cell that we filled goes if it holds what its row derives now; every other cell stays as AgentOS left it.
 *
 * @param ours the cells that up has changed, found from the table alone
 */
async function afterDown(
  store: TestStore,
  ours: ReadonlySet<string>,
): Promise<{ readonly counts: object; readonly cells: Map<string, Cells> }> {
  const derived = await store.derived();
  let [reverted, kept] = [0, 0];
  const present = await store.cells();
  const cells = [...present].map(([key, row]) => {
    const left = row.map((value, i) => {
      if (value === null || !ours.has(`${key} ${COLUMNS[i]}`)) return value;
      const isDerived = value === derived.get(key)?.[i];
      if (isDerived) reverted += 1;
      else kept += 1;
      return isDerived ? null : value;
    });
    return [key, left as unknown as Cells] as const;
  });
  const gone = [...ours].filter((cell) => !present.has(cell.slice(0, cell.lastIndexOf(' ')))).length;
  return { counts: { reverted, kept, gone, underivable: 0 }, cells: new Map(cells) };
}

/** Takes everything back, over stops. */
async function takenBack(store: TestStore, stops: readonly number[]): Promise<object> {
  for (const k of stops) if (k < (await store.ledger()).batches(name).length) await stoppedEmptying(store, k);
  return await emptied(store);
}

interface Scene {
  readonly store: { readonly smallSchema: boolean };
  readonly earlier: string;
  readonly batchRows: number;
  readonly meanwhile: readonly Change[];
  readonly stops: readonly number[];
}

async function upAndDown(store: TestStore, { store: { smallSchema }, ...scene }: Scene): Promise<void> {
  const [before, cells] = [await store.dump(), await store.cells()];
  const up = await filled(store, { batchRows: scene.batchRows });
  const ours = changedCells(cells, up.cells);
  expect([...up.ledger.cells].sort()).to.deep.equal(ours);
  if (scene.meanwhile.length > 0) await apply(store, scene.meanwhile, smallSchema);
  const [expected, others] = [await afterDown(store, new Set(ours)), theirTables(await store.dump())];

  expect(await takenBack(store, scene.stops)).to.deep.equal(expected.counts);
  const left = await store.cells();
  expectSameMap(left, expected.cells);
  expectSameTables(theirTables(await store.dump()), others);

  expect(codeOf(await down(store, {}, { ...options, confirmed: true }))).to.equal(undefined);
  const after = await store.dump();
  expect(after.schema).to.deep.equal(before.schema);
  const isThere = COLUMNS.map((column) => scene.earlier.includes(`ADD COLUMN ${column}`));
  const stand = [...left].map(([key, row]): [string, unknown] => [
    key,
    row.map((value, i) => (isThere[i] ? value : null)),
  ]);
  expectSameMap(await store.cells(), new Map(stand));
  if (scene.meanwhile.length === 0) expectSameTables(after.tables, before.tables);
}

for (const engine of ENGINES) {
  describe(`${engine.name}: up, then down`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('leaves what AgentOS wrote or changed meanwhile, and all else as it was', async () => {
      const scene = fc.record({
        store: storeOptions,
        earlier: earlierColumns,
        batchRows: fc.integer({ min: 1, max: 12 }),
        meanwhile: fc.oneof(
          { weight: 1, arbitrary: fc.constant([]) },
          { weight: 3, arbitrary: changesOf(engine) },
        ),
        stops: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      });
      // Few runs are of many rows and changes: with its bias, fast-check begins with stores of next to none.
      const property = fc.asyncProperty(isLong ? scene : fc.noBias(scene), (drawn) =>
        engine.withStore({ ...drawn.store, prepare: drawn.earlier }, (store) => upAndDown(store, drawn)),
      );
      const runs = engine.name === 'SQLite' ? 100 : 12;
      await fc.assert(property, { numRuns: isLong ? runs : Math.ceil(runs / 3) });
      // Each run is three commands at least, and each of their commits is synced: a busy disk takes its time.
    }).timeout(isLong ? 3_600_000 : 240_000);
  });
}
