import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { theirTables } from './support/compare-fill.js';
import { ENGINES, needEngine } from './support/engines.js';
import { expectSameMap, expectSameTables } from './support/expect-same.js';
import {
  codeOf,
  down,
  expectIdle,
  name,
  onAppliedStore,
  only,
  plain,
  troubles,
  up,
} from './support/migrate.js';
import { COLUMNS } from './support/oracle-words.js';
import { failureOf, query, schemaStep } from './support/stores.js';

const [byEvent, byLag, bySource] = [
  'idx_task_audits_event_source_ts',
  'idx_task_audits_decision_lag',
  'idx_task_audits_source_event_ts',
] as const;
const index = (indexName: string) => ({ kind: 'index', name: indexName }) as const;
const version = { kind: 'version', name: '0.21.0' } as const;
const columns = COLUMNS.map((column) => ({ kind: 'column', name: column }) as const);
const indexes = [index(byLag), index(byEvent), index(bySource)];

const ours = COLUMNS.map((column) => `ALTER TABLE task_audits ADD COLUMN ${column} TEXT;`).join('');
const ourIndexes = (named: (of: string) => string): string =>
  `CREATE INDEX ${named(bySource)} ON task_audits (source_event_ts) WHERE source_event_ts IS NOT NULL;
  CREATE INDEX ${named(byLag)} ON task_audits (source_event_ts, supervisor_processed_at)
    WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL;
  CREATE INDEX ${named(byEvent)} ON task_audits (event_type, source_event_ts) WHERE source_event_ts IS NOT NULL;`;
const underOurNames = ourIndexes((of) => of);
const underOthers = ourIndexes((of) => `by_${of}`);
const at = (text: string): string => `INSERT INTO schema_version (version) VALUES ('${text}');`;

/** What stands there before, and what the schema step makes of it. */
const adopted: readonly (readonly [what: string, prepare: string, made: readonly object[]])[] = [
  ['v21, the columns NULL', ours + underOurNames + at('0.21.0'), []],
  ['v21 with indexes under other names', ours + underOthers + at('v0.21.0'), []],
  ['v21 without its indexes', ours + at('0.21'), indexes],
  ['a version alone', at('0.21.0-rc1'), [...columns, ...indexes]],
  ['all but the version', ours + underOthers + at('0.20.9'), [version]],
  [
    'v15 with values, and an index that looks alike',
    `${ours}CREATE INDEX idx_task_audits_lag ON task_audits (source_event_ts, supervisor_processed_at);
    CREATE INDEX falling ON task_audits (event_type, source_event_ts DESC) WHERE source_event_ts IS NOT NULL;
    UPDATE task_audits SET source_event_ts = 'own' WHERE audit_id % 3 = 0;
    UPDATE task_audits SET supervisor_processed_at = created_at WHERE audit_id % 4 = 0`,
    [...indexes, version],
  ],
  [
    'one column, and the index on it',
    'ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT; CREATE INDEX mine ON task_audits (source_event_ts) WHERE source_event_ts IS NOT NULL',
    [columns[1] ?? {}, index(byLag), index(byEvent), version],
  ],
];

for (const engine of ENGINES) {
  describe(`${engine.name}: adoption`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [what, prepare, made] of adopted) {
      it(`fills ${what}, and takes back only what it made`, () =>
        engine.withStore({ audits: 60, rareShare: 0.3, prepare }, async (store) => {
          const [dump, expected] = [await store.dump(), await store.expected()];
          const outcome = await up(store);
          expect(codeOf(outcome), outcome.error?.message).to.equal(undefined);
          expect(outcome.applied).to.deep.equal([schemaStep.name, name]);
          expect((await store.ledger()).objects(schemaStep.name)).to.deep.equal(made);
          expectSameMap(await store.cells(), expected.cells);
          expectSameTables(theirTables(await store.dump()), theirTables(dump));
          await expectIdle(store);

          const reverted = await down(store, { to: 0 });
          expect(codeOf(reverted), reverted.error?.message).to.equal(undefined);
          const after = await store.dump();
          expectSameTables(after.tables, dump.tables);
          expect(after.schema).to.deep.equal(dump.schema);
        }));
    }

    it('takes back no columns under a version above theirs, which may build on them', () =>
      engine.withStore({ prepare: at('0.22.0') }, async (store) => {
        expect(codeOf(await up(store))).to.equal(undefined);
        expect(codeOf(await down(store))).to.equal(undefined);
        await failureOf('VERSION_TOO_NEW', () => down(store));
      }));

    for (const [what, prepare, later, made] of [
      ['nothing', ours + underOthers + at('0.30.0'), '', []],
      ['indexes alone', ours + at('0.30.0'), '', indexes],
      ['nothing, and the application went on since', ours + underOurNames + at('0.21.0'), at('0.30.0'), []],
    ] as const)
      it(`is reverted under a later version where it made ${what}`, () =>
        engine.withStore({ prepare }, async (store) => {
          expect(codeOf(await up(store))).to.equal(undefined);
          expect((await store.ledger()).objects(schemaStep.name)).to.deep.equal(made);
          if (later) await store.change(later);
          const reverted = await down(store, { to: 0 });
          expect(codeOf(reverted), reverted.error?.message).to.equal(undefined);
          expect((await store.ledger()).exists()).to.equal(false);
        }));

    it('names all that it made where a later version may rest on it, and the backup from before it', () =>
      engine.withStore({}, async (store) => {
        expect(codeOf(await up(store, { backup: {} }))).to.equal(undefined);
        await store.change(`DROP INDEX ${byEvent}`);
        expect(codeOf(await up(store, { backup: {} }))).to.equal(undefined); // its backup is no way back
        await store.change(at('0.30.0'));
        const traces = await store.traces();
        const { message, hint } = await failureOf('VERSION_TOO_NEW', () => down(store, { to: 0 }));
        expect(await store.traces()).to.deep.equal(traces);
        expect(message).to.equal(
          `The store is at version 0.30.0, later than 0.21.0, and may depend on objects of this step: ${[...columns, ...indexes, version].map((made) => made.name).join(', ')}`,
        );
        if (engine.name === 'PostgreSQL') {
          expect(hint).to.match(/^Keep the objects, or restore a backup from before the step/);
          return;
        }
        const [backup = ''] = /\S+\.backup\S*|\/\S+\.db\S*/.exec(hint) ?? [];
        expect(hint).to.equal(
          `Run umzug-backfill restore ${backup} to restore the store as it was before the step, without later writes`,
        );
        const kept = query(backup, `SELECT name FROM pragma_table_xinfo('task_audits')`);
        expect(kept).to.include('payload').and.not.include('source_event_ts');
      }));

    for (const [what, sql, code] of [
      ['a version below 0.20.0', `DELETE FROM schema_version WHERE version = '0.20.0'`, 'VERSION_TOO_OLD'],
      ['no version', 'DELETE FROM schema_version', 'VERSION_MISSING'],
      ['no schema_version', 'DROP TABLE schema_version', 'VERSION_MISSING'],
      ['no task_audits', 'DROP TABLE task_audits', 'TABLE_MISSING'],
    ] as const) {
      it(`refuses a store with ${what}, and changes nothing`, () =>
        engine.withStore({}, async (store) => {
          await store.change(sql);
          const traces = await store.traces();
          await failureOf(code, () => up(store));
          expect(await store.traces()).to.deep.equal(traces);
        }));
    }
  });

  describe(`${engine.name}: down, twice`, () => {
    before(function () {
      needEngine(this, engine);
    });

    it('keeps what AgentOS wrote or changed in between, then refuses while any of it stands', () =>
      engine.withStore({ audits: 60, rareShare: 0.3 }, async (store) => {
        const dump = await store.dump();
        expect(codeOf(await up(store))).to.equal(undefined);
        await store.change(
          `UPDATE task_audits SET source_event_ts = 'theirs' WHERE audit_id =
            (SELECT min(audit_id) FROM task_audits WHERE source_event_ts IS NOT NULL)`,
        );
        await store.insert({ ...plain, cells: ['own', 'own'] }, plain);
        const first = await down(store);
        expect(codeOf(first)).to.equal(undefined);
        expect(only(first.cells)).to.include({ backfill: name, kept: 1 });
        const left = [...(await store.cells()).values()].filter((cells) =>
          cells.some((cell) => cell !== null),
        );
        expect(left).to.deep.equal([
          ['theirs', null],
          ['own', 'own'],
        ]);

        const traces = await store.traces();
        const { message } = await failureOf('COLUMN_HAS_VALUES', () => down(store));
        expect(message).to.include('2 in source_event_ts, 1 in supervisor_processed_at');
        expect(await store.traces()).to.deep.equal(traces);
        // With --yes they go with their columns; what AgentOS wrote besides stays.
        expect(codeOf(await down(store, {}, { confirmed: true }))).to.equal(undefined);
        await store.change('DELETE FROM task_audits WHERE audit_id > 60');
        const after = await store.dump();
        expectSameTables(theirTables(after), theirTables(dump));
        expect(after.schema).to.deep.equal(dump.schema);
      }));

    it('ends a store that up has made v21 where it began', () =>
      onAppliedStore(engine, async (store) => {
        await expectIdle(store);
        for (let i = 0; i < 2; i += 1) expect(codeOf(await down(store))).to.equal(undefined);
        const versions = `SELECT count(*) FROM schema_version WHERE version = '0.21.0'`;
        expect(await store.query(versions)).to.deep.equal(['0']);
        const again = await up(store);
        expect(troubles(only(again.verifications))).to.deep.equal({});
      }));
  });
}
