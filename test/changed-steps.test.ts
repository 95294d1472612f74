import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import {
  type BackfillDefinition,
  BackfillError,
  type BackfillOptions,
  defineBackfill,
  defineSchemaStep,
  defineSqlStep,
  firstOf,
  type SchemaStepDefinition,
  type SchemaStepOptions,
  type SqlStepDefinition,
  type SqlStepOptions,
} from '../src/index.js';
import { useFolder } from './support/cli.js';
import { readLedger } from './support/ledger.js';
import { commandsOf, named, projectOf, type Step } from './support/project.js';
import { asAgentOs, failureOf } from './support/stores.js';

const value = firstOf('body', ['ts', 'time'], 'created_at');
const backfill: BackfillOptions = { table: 'events', key: 'id', scope: `kind = 'A'`, columns: { ts: value } };
const schema: SchemaStepOptions = {
  table: 'events',
  columns: { ts: 'TEXT' },
  indexes: { idx_ts: { columns: ['ts'], where: 'ts IS NOT NULL' } },
  version: { table: 'schema_version', column: 'version', to: '2.0.0' },
};
const sql: SqlStepOptions = { up: ['CREATE VIEW v AS SELECT 1'], down: ['DROP VIEW v'] };

type Definition = BackfillDefinition | SchemaStepDefinition | SqlStepDefinition;

describe('a step that is applied', () => {
  const folder = useFolder();
  const names = ['1-schema', '2-backfill', '3-sql'] as const;
  const original: readonly Step[] = [
    named(names[0], defineSchemaStep(schema)),
    named(names[1], defineBackfill(backfill)),
    named(names[2], defineSqlStep(sql)),
  ];
  const at = (file: string, steps: readonly Step[]) => {
    const path = folder.file(file);
    return commandsOf(projectOf(steps), { path }, { backup: false, confirmed: true });
  };
  /** A store in which the steps are applied. */
  const make = async (file: string): Promise<void> => {
    const columns = '(id INTEGER PRIMARY KEY, kind TEXT, body TEXT, data TEXT, created_at TEXT, seen TEXT)';
    const ddl = `CREATE TABLE events ${columns}; CREATE TABLE event ${columns};
      CREATE TABLE schema_version (version TEXT); INSERT INTO schema_version VALUES ('1.0.0')`;
    asAgentOs(folder.file(file), (db) => void db.exec(ddl));
    expect((await at(file, original).up()).error).to.equal(undefined);
  };
  /** Names of the steps that count as changed since, where one is another now. */
  const changed = async (step: Definition): Promise<readonly string[]> => {
    const steps = original.map((old) => (old.kind === step.kind ? named(old.name, step) : old));
    try {
      return (await at('store.db', steps).plan(['up', '--strict'])).drifts;
    } catch (error) {
      if (!(error instanceof BackfillError) || error.code !== 'STEP_DRIFTED') throw error;
      return [error.message];
    }
  };
  before(() => make('store.db'));

  it('can be reverted only when it says how', async () => {
    await make('irreversible.db');
    const oneWay = original.with(2, named(names[2], defineSqlStep({ up: sql.up })));
    await failureOf('STEP_IRREVERSIBLE', () => at('irreversible.db', oneWay).down());
    const { error, reverted } = await at('irreversible.db', original).down({ to: 0 });
    expect({ error, reverted }).to.deep.equal({ error: undefined, reverted: names.toReversed() });
  });

  it('has a SHA-256 in hex in the ledger, the same each time', async () => {
    await make('again.db');
    const [first, second] = ['store.db', 'again.db'].map((file) =>
      readLedger(folder.file(file))
        .steps()
        .map(({ fingerprint }) => fingerprint),
    );
    expect(first).to.deep.equal(second);
    expect(new Set(first).size).to.equal(3);
    for (const print of first ?? []) expect(print).to.match(/^[0-9a-f]{64}$/);
  });

  const same: readonly (readonly [what: string, step: Definition])[] = [
    ['layout of the scope', defineBackfill({ ...backfill, scope: `KIND='A' /* those */` })],
    ['case of table and key', defineBackfill({ ...backfill, table: 'Events', key: 'ID' })],
    ['checks', defineBackfill({ ...backfill, checks: { groupBy: 'kind', timestamps: true } })],
    ['case of names and types', defineSchemaStep({ ...schema, table: 'EVENTS', columns: { TS: 'text' } })],
    [
      'layout of a condition',
      defineSchemaStep({ ...schema, indexes: { idx_ts: { columns: ['ts'], where: '"ts"  is not\nnull' } } }),
    ],
    [
      'layout of statements',
      defineSqlStep({ up: ['create view "v" as\n  select 1;'], down: ['drop view [v]'] }),
    ],
  ];
  for (const [what, step] of same) {
    it(`is not changed by the ${what}`, async () => expect(await changed(step)).to.deep.equal([]));
  }

  const different: readonly (readonly [what: string, step: Definition])[] = [
    ['table', defineBackfill({ ...backfill, table: 'event' })],
    ['key', defineBackfill({ ...backfill, key: 'rowid' })],
    ['text in the scope', defineBackfill({ ...backfill, scope: `kind = 'a'` })],
    ['column', defineBackfill({ ...backfill, columns: { seen: value } })],
    [
      'document',
      defineBackfill({ ...backfill, columns: { ts: firstOf('data', ['ts', 'time'], 'created_at') } }),
    ],
    [
      'order of the names',
      defineBackfill({ ...backfill, columns: { ts: firstOf('body', ['time', 'ts'], 'created_at') } }),
    ],
    [
      'case of a member name',
      defineBackfill({ ...backfill, columns: { ts: firstOf('body', ['TS', 'time'], 'created_at') } }),
    ],
    ['fallback', defineBackfill({ ...backfill, columns: { ts: firstOf('body', ['ts', 'time'], 'seen') } })],
    ['type of a column', defineSchemaStep({ ...schema, columns: { ts: 'BLOB' } })],
    [
      'name of an index',
      defineSchemaStep({ ...schema, indexes: { idx: { columns: ['ts'], where: 'ts IS NOT NULL' } } }),
    ],
    ['condition of an index', defineSchemaStep({ ...schema, indexes: { idx_ts: { columns: ['ts'] } } })],
    [
      'version',
      defineSchemaStep({
        ...schema,
        version: { table: 'schema_version', column: 'version', to: '2.0.1' },
      }),
    ],
    ['statement', defineSqlStep({ ...sql, up: ['CREATE VIEW v AS SELECT 2'] })],
    ['way back', defineSqlStep({ up: sql.up })],
  ];
  for (const [what, step] of different) {
    it(`is changed by the ${what}`, async () => {
      const name = original.find(({ kind }) => kind === step.kind)?.name;
      expect(await changed(step)).to.deep.equal([`The step ${name} has changed since it was applied`]);
    });
  }
});
