import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { readLedger } from './support/ledger.js';
import { codeOf, type Extra, expectIdle, up } from './support/migrate.js';
import { apply, made, plan, quick, revert, state, versions, withV20 } from './support/schema-step.js';
import { asAgentOs, change, dumpSchema, schemaStep } from './support/stores.js';

const [source, lag, event] = [
  'idx_task_audits_source_event_ts',
  'idx_task_audits_decision_lag',
  'idx_task_audits_event_source_ts',
] as const;
const index = (name: string) => ({ kind: 'index', name }) as const;
const column = (name: string) => ({ kind: 'column', name }) as const;
const version = { kind: 'version', name: '0.21.0' } as const;
/** What the program does that is durable, as it does it. */
const FAILPOINTS = 'umzug-backfill:failpoint';
const columns = [column('source_event_ts'), column('supervisor_processed_at')];
const everything = [...columns, index(lag), index(event), index(source), version];

/** Options under which SQL runs on the store right after a step has begun: nothing looks at the schema any more. */
const disturbed = (path: string, sql: string): Extra => ({
  onEvent: ({ event }) => {
    if (event === 'step_started') change(path, sql);
  },
});

/** Runs `act`, and SQL of somebody else's as soon as it has committed that it has dropped so many indexes. */
async function disturbedBehind<Result>(
  count: number,
  path: string,
  sql: string,
  act: () => Promise<Result>,
): Promise<Result> {
  let drops = 0;
  const listen = (message: unknown): void => {
    const { at, detail } = message as { readonly at: string; readonly detail: string };
    if (at === 'statement' && detail.startsWith('DROP INDEX')) drops += 1;
    if (at !== 'commit' || drops < count) return;
    unsubscribe(FAILPOINTS, listen);
    change(path, sql);
  };
  subscribe(FAILPOINTS, listen);
  try {
    return await act();
  } finally {
    unsubscribe(FAILPOINTS, listen);
  }
}

describe('a schema step', () => {
  it('brings a v20 store to v21, and `down` brings it back', () =>
    withV20(async (path) => {
      const before = state(path);
      expect(codeOf(await apply(path))).to.equal(undefined);
      const names = made(path).map(({ name }) => name);
      const schema = dumpSchema(path) as { name: string; sql: string }[];
      const indexes = schema.filter(({ name }) => name.startsWith('idx_') && names.includes(name));
      expect(indexes.map(({ sql }) => sql)).to.have.members([
        'CREATE INDEX "idx_task_audits_source_event_ts" ON "task_audits" ("source_event_ts") WHERE source_event_ts IS NOT NULL',
        'CREATE INDEX "idx_task_audits_decision_lag" ON "task_audits" ("source_event_ts", "supervisor_processed_at") WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL',
        'CREATE INDEX "idx_task_audits_event_source_ts" ON "task_audits" ("event_type", "source_event_ts") WHERE source_event_ts IS NOT NULL',
      ]);
      const infos = asAgentOs(path, (db) =>
        db.prepare(`SELECT name, type, "notnull", dflt_value FROM pragma_table_info('task_audits')`).all(),
      );
      expect(infos.slice(-2)).to.deep.equal(
        columns.map(({ name }) => ({ name, type: 'TEXT', notnull: 0, dflt_value: null })),
      );
      expect(versions(path)).to.deep.equal([...before.versions, '0.21.0']);
      expect(made(path)).to.deep.equal(everything);
      expect(readLedger(path).step(schemaStep.name)?.status).to.equal('applied');

      expect(codeOf(await revert(path))).to.equal(undefined);
      expect(state(path)).to.deep.equal(before);
    }));

  const ours = `ALTER TABLE task_audits ADD COLUMN SOURCE_Event_TS text;
    ALTER TABLE task_audits ADD COLUMN "Supervisor_Processed_At" TEXT;`;
  const indexes = `CREATE INDEX by_source ON Task_Audits ( [source_event_ts] ) WHERE Source_Event_TS is not null;
    CREATE INDEX by_lag ON task_audits (source_event_ts, supervisor_processed_at)
      WHERE source_event_ts IS NOT NULL /* both */ AND supervisor_processed_at IS NOT NULL;
    CREATE INDEX by_event ON task_audits (event_type COLLATE BINARY, source_event_ts ASC) WHERE source_event_ts IS NOT NULL;`;
  const atVersion = (text: string): string => `INSERT INTO schema_version (version) VALUES ('${text}');`;
  const adopted = [
    ['columns and indexes under other names, v0.21.0', ours + indexes + atVersion('v0.21.0'), []],
    ['columns and indexes, 0.21.0-rc1', ours + indexes + atVersion('0.21.0-rc1'), []],
    ['columns and indexes, 0.22.0', ours + indexes + atVersion('0.22.0'), []],
    ['columns, 0.22.0', ours + atVersion('0.22.0'), [index(lag), index(event), index(source)]],
    ['columns, 0.21', ours + atVersion('0.21'), [index(lag), index(event), index(source)]],
    ['columns and indexes, 0.20.9', ours + indexes + atVersion('0.20.9'), [version]],
    ['a version alone', atVersion('0.21.0'), everything.slice(0, -1)],
    [
      'one column, and the index on it',
      'ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT; CREATE INDEX mine ON task_audits (source_event_ts) WHERE source_event_ts IS NOT NULL',
      [column('supervisor_processed_at'), index(lag), index(event), version],
    ],
    [
      // A full index is another definition, and so is one in another order or of unique values.
      'indexes that look alike',
      `${ours}CREATE INDEX full_one ON task_audits (source_event_ts);
      CREATE INDEX falling ON task_audits (event_type, source_event_ts DESC) WHERE source_event_ts IS NOT NULL;
      CREATE INDEX folded ON task_audits (source_event_ts COLLATE NOCASE) WHERE source_event_ts IS NOT NULL;
      CREATE INDEX idx_task_audits_lag ON task_audits (source_event_ts, supervisor_processed_at)`,
      [index(lag), index(event), index(source), version],
    ],
  ] as const;
  for (const [what, sql, missing] of adopted) {
    it(`makes only what is missing, and takes back only that: ${what}`, () =>
      withV20(async (path) => {
        const before = state(path);
        expect((await plan(path)).warnings).to.deep.equal([]);
        // It is filled, too, under the other names.
        expect(codeOf(await up(path, quick))).to.equal(undefined);
        expect(made(path)).to.deep.equal(missing);
        await expectIdle(path);
        expect(codeOf(await revert(path))).to.equal(undefined);
        expect(state(path)).to.deep.equal(before);
      }, sql));
  }

  /** Schema, versions and what the ledger knows, of a fresh store after the step. */
  const whole = (): Promise<unknown> =>
    withV20(async (path) => {
      await apply(path);
      return { ...state(path), made: made(path) };
    });

  // The indexes are made in this order, each in a transaction of its own: one that can't be made ends the command there.
  for (const [count, taken] of [source, lag, event].entries()) {
    it(`goes on behind the columns and ${count} indexes`, async () => {
      const expected = await whole();
      await withV20(async (path) => {
        const before = state(path);
        const ended = await apply(path, disturbed(path, `CREATE TABLE ${taken} (x)`));
        expect(ended.error?.message).to.be.a('string');
        change(path, `DROP TABLE ${taken}`);
        const begun = [source, lag, event].slice(0, count).map(index);
        expect(made(path)).to.have.deep.members([...columns, version, ...begun]);
        expect(readLedger(path).step(schemaStep.name)?.status).to.equal('applying');
        // What it has made already is tried on the way back, too.
        change(path, 'CREATE INDEX mine ON task_audits (supervisor_processed_at)');
        expect((await plan(path)).warnings.join()).to.include('index mine');
        change(path, 'DROP INDEX mine');
        expect((await plan(path)).warnings).to.deep.equal([]);
        expect(codeOf(await apply(path))).to.equal(undefined);
        expect({ ...state(path), made: made(path) }).to.deep.equal(expected);
        expect(codeOf(await revert(path))).to.equal(undefined);
        expect(state(path)).to.deep.equal(before);
      });
    });
  }

  // They are dropped in this order, before the columns: what is in the way of one of them ends `down` there.
  const dropped = everything.filter(({ kind }) => kind === 'index').map(({ name }) => name);
  for (const count of [1, 2, 3]) {
    for (const isDown of [true, false]) {
      it(`goes on, ${isDown ? 'down' : 'up again'}, behind ${count} dropped indexes`, async () => {
        const expected = await whole();
        await withV20(async (path) => {
          const before = state(path);
          await apply(path);
          const next = dropped[count];
          const { sql = '' } = (dumpSchema(path) as { name: string; sql: string }[]).find(
            ({ name }) => name === next,
          ) ?? { sql: 'DROP VIEW blocking' };
          const blocking = 'CREATE VIEW blocking AS SELECT source_event_ts FROM task_audits';
          const ended = await disturbedBehind(count, path, next ? `DROP INDEX ${next}` : blocking, () =>
            revert(path),
          );
          expect(ended.error?.message).to.be.a('string');
          change(path, sql);
          expect(made(path)).to.deep.equal([...columns, ...dropped.slice(count).map(index), version]);
          expect(readLedger(path).step(schemaStep.name)?.status).to.equal('reverting');
          if (!isDown) {
            expect(codeOf(await apply(path))).to.equal(undefined);
            expect({ ...state(path), made: made(path) }).to.deep.equal(expected);
          }
          expect(codeOf(await revert(path))).to.equal(undefined);
          expect(state(path)).to.deep.equal(before);
        });
      });
    }
  }
});
