import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, sql } from '../src/index.js';
import { ENGINES, needEngine, type TestStore } from './support/engines.js';
import { COLUMNS } from './support/oracle-words.js';
import { commandsOf, named, projectOf } from './support/project.js';
import { type Audit, backfillStep } from './support/stores.js';

// Each way to derive a value, and the ways that one backfill can mix, on the same documents: a column holds what its way derives,
// whatever fills the others.

const NAME = '001-mixed';
const { table, key, scope } = backfillStep;

/** Documents that the engine leaves to this program, one for each reason, beside such that it reads itself and such that nobody can. */
const documents: readonly (string | null)[] = [
  '{"source_ts":"plain","timestamp":"t"}',
  '{"source_ts":"first","source_ts":"second","timestamp":"t"}',
  '{"source_ts":NaN,"timestamp":"t"}',
  '{"source_ts":"half \\ud83d","timestamp":"t"}',
  '{"source_ts":"zero \\u0000","timestamp":"t"}',
  '{"source_ts":"\\u003ca\\u003e","timestamp":"t"}',
  '{"\\u0073ource_ts":"hidden","timestamp":"t"}',
  `{"source_ts":"deep","timestamp":"t","reason":${'['.repeat(998)}${']'.repeat(998)}}`,
  '{"source_ts":1e400,"timestamp":"t"}',
  '{"source_ts":"unreadable","timestamp"',
  'no document',
  '[]',
  '',
  null,
];

/** The documents, with a fallback and without. */
const rows = documents.flatMap((payload): Audit[] => [{ payload }, { payload, createdAt: null }]);

/** A column that a row's document says nothing of: its value is known by its key alone. */
interface Plain {
  readonly type: string;
  readonly value: ReturnType<typeof sql>;
  /** What it must hold, as text; null where there is no value. */
  readonly expected: (key: number) => string | null;
}

const plains: Readonly<Record<string, Plain>> = {
  label: { type: 'TEXT', value: sql(`'row ' || audit_id`), expected: (key) => `row ${key}` },
  twice: { type: 'INTEGER', value: sql('audit_id * 2'), expected: (key) => String(key * 2) },
  odd: {
    type: 'TEXT',
    value: sql(`CASE WHEN audit_id % 2 = 1 THEN 'odd' END`),
    expected: (key) => (key % 2 === 1 ? 'odd' : null),
  },
};

/** Columns of `firstOf()` by name. */
const documented = Object.fromEntries(
  backfillStep.columns.flatMap(({ name, value }) => (value.kind === 'first-of' ? [[name, value]] : [])),
);

const wayOf = (name: string) => documented[name] ?? plains[name]?.value ?? sql('NULL');
const [SOURCE = '', PROCESSED = ''] = COLUMNS;

const bySets = (
  ...names: readonly string[]
): [what: string, names: readonly string[], BackfillDefinition] => [
  names.map((name) => (name in documented ? 'firstOf()' : 'sql()')).join(', '),
  names,
  defineBackfill({
    table,
    key,
    scope,
    columns: Object.fromEntries(names.map((name) => [name, wayOf(name)])),
  }),
];

/** What `process` gives for a column of its own, by the key of the row. */
const given: Readonly<Record<string, (key: number) => string | number | null>> = {
  label: (id) => `row ${id}`,
  twice: (id) => id * 2,
  odd: (id) => (id % 2 === 1 ? 'odd' : null),
};

/** A backfill whose function fills `own`, beside columns that have other ways. */
const byProcess = (
  own: readonly string[],
  ...names: readonly string[]
): [what: string, names: readonly string[], BackfillDefinition] => [
  names
    .map((name) => (own.includes(name) ? 'process()' : name in documented ? 'firstOf()' : 'sql()'))
    .join(', '),
  names,
  defineBackfill({
    table,
    key: 'audit_id',
    scope,
    reads: ['payload', 'created_at'],
    columns: Object.fromEntries(names.map((name) => [name, own.includes(name) ? 'process' : wayOf(name)])),
    process: (rows) =>
      rows.map(({ audit_id: id }) =>
        Object.fromEntries(own.map((name) => [name, given[name]?.(Number(id)) ?? null])),
      ),
  }),
];

const mixtures: readonly ReturnType<typeof bySets>[] = [
  bySets(SOURCE),
  bySets(SOURCE, PROCESSED),
  bySets('label'),
  bySets('label', 'twice', 'odd'),
  bySets(SOURCE, 'label'),
  bySets('label', SOURCE),
  bySets('odd', SOURCE, 'twice', PROCESSED, 'label'),
  bySets(PROCESSED, 'odd', 'twice'),
  byProcess(['label', 'twice', 'odd'], 'label', 'twice', 'odd'),
  byProcess(['label'], 'label', SOURCE),
  byProcess(['label'], 'twice', 'label', 'odd'),
  byProcess(['twice', 'odd'], PROCESSED, 'odd', 'label', 'twice', SOURCE),
];

/** What each column must hold, by key and in the order of `names`, and `key column reason` of each skip, sorted. */
async function expectedOf(store: TestStore, names: readonly string[], definition: BackfillDefinition) {
  const reference = await store.expected();
  const cells = new Map<string, (string | null)[]>();
  const skips: string[] = [];
  for (const [id, found] of reference.cells) {
    const reasons = reference.skips.get(id) ?? [];
    const isUnreadable =
      names.some((name) => name in documented) && reasons.some((reason) => reason.startsWith('*'));
    const row = names.map((name) => {
      if (isUnreadable) return null;
      const at = COLUMNS.indexOf(name as (typeof COLUMNS)[number]);
      return at >= 0 ? (found[at] ?? null) : (plains[name]?.expected(Number(id)) ?? null);
    });
    cells.set(id, row);
    if (isUnreadable) skips.push(`${id} * DOCUMENT_UNREADABLE`);
    else
      skips.push(...names.filter((_, i) => row[i] === null).map((name) => `${id} ${name} NO_USABLE_VALUE`));
  }
  expect(definition.columns.map(({ name }) => name)).to.deep.equal(names);
  return { cells, skips: skips.sort() };
}

async function cellsOf(store: TestStore, names: readonly string[]): Promise<Map<string, (string | null)[]>> {
  const keys = await store.query('SELECT audit_id FROM task_audits ORDER BY audit_id');
  const columns: (string | null)[][] = [];
  for (const name of names)
    columns.push(await store.query(`SELECT ${name} FROM task_audits ORDER BY audit_id`));
  return new Map(keys.map((id, row) => [String(id), columns.map((column) => column[row] ?? null)]));
}

for (const engine of ENGINES) {
  describe(`${engine.name}: a backfill of`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [what, names, definition] of mixtures) {
      it(`${what} fills each column with what its way derives, and takes it back`, () =>
        engine.withStore({ audits: 0, smallSchema: true, rows }, async (store) => {
          for (const [name, type] of [
            ...COLUMNS.map((name) => [name, 'TEXT'] as const),
            ...Object.entries(plains).map(([name, plain]) => [name, plain.type] as const),
          ])
            await store.change(`ALTER TABLE task_audits ADD COLUMN ${name} ${type}`);
          const untouched = await cellsOf(store, names);
          const expected = await expectedOf(store, names, definition);
          const commands = commandsOf(projectOf([named(NAME, definition)]), store.address, { backup: false });

          const { fill } = (await commands.plan(['up'])).steps[0];
          const filled = names.map(
            (_, i) => [...expected.cells.values()].filter((row) => row[i] !== null).length,
          );
          expect(names.map((name) => fill.cellsToFill[name] ?? 0)).to.deep.equal(filled);

          const outcome = await commands.up();
          expect(outcome.error?.message).to.equal(undefined);
          expect(await cellsOf(store, names)).to.deep.equal(expected.cells);
          const [found] = await commands.skips();
          expect(
            (found?.skips ?? []).map((skip) => `${skip.key} ${skip.target} ${skip.reason}`).sort(),
          ).to.deep.equal(expected.skips);
          const [verification] = await commands.verify();
          expect(verification?.verdict).to.equal(expected.skips.length > 0 ? 'warn' : 'pass');

          expect((await commands.down()).cells).to.deep.equal([
            {
              backfill: NAME,
              reverted: filled.reduce((sum, cells) => sum + cells, 0),
              kept: 0,
              gone: 0,
              underivable: 0,
            },
          ]);
          expect(await cellsOf(store, names)).to.deep.equal(untouched);
        }));
    }
  });
}
