import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, firstOf, type MigratorEvent, sql } from '../src/index.js';
import { needEngine } from './support/engines.js';
import { numbered, OWN_ENGINES, type OwnTables } from './support/own-tables.js';

// A first run that fills nothing, or finds values, may be of a declaration that is mistaken: it says so.

/** Backfills that derive nothing for any of 25 rows, and the reasons. */
const EMPTY: readonly (readonly [
  what: string,
  backfill: BackfillDefinition,
  reasons: Record<string, number>,
])[] = [
  [
    'sql()',
    defineBackfill({ table: 't', key: 'id', columns: { b: sql(`nullif(a, a)`) } }),
    { NO_USABLE_VALUE: 25 },
  ],
  [
    'firstOf()',
    defineBackfill({ table: 't', key: 'id', columns: { b: firstOf('a', ['x'], 'c') } }),
    { DOCUMENT_UNREADABLE: 25 },
  ],
  [
    'process()',
    defineBackfill({
      table: 't',
      key: 'id',
      reads: ['a'],
      columns: ['b'],
      process: (rows) => rows.map(() => ({})),
    }),
    { NO_USABLE_VALUE: 25 },
  ],
  [
    'process() with reasons of its own',
    defineBackfill({
      table: 't',
      key: 'id',
      reads: ['a'],
      columns: ['b', 'c'],
      process: (rows, { skip }) => rows.map(({ id }) => (Number(id) > 5 ? skip('TOO_LATE') : {})),
    }),
    { NO_USABLE_VALUE: 10, TOO_LATE: 20 },
  ],
];

const withC = `${numbered(25)}; ALTER TABLE t ADD COLUMN c TEXT`;

for (const engine of OWN_ENGINES) {
  describe(`a first run on ${engine.name}`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [what, backfill, reasons] of EMPTY) {
      const cells = 25 * backfill.columns.length;
      const told = `The first run of 001-own found ${cells} cells to fill and filled none of them: ${Object.entries(
        reasons,
      )
        .map(([reason, skips]) => `${skips} ${reason}`)
        .join(', ')}`;
      const on = (act: (own: OwnTables) => Promise<void>): Promise<void> => engine.withTables(withC, act);

      // What counts the reasons is asked of each engine below; what is printed of them is the same.
      const says = engine.name === 'SQLite' || what === 'process() with reasons of its own';
      if (says)
        it(`by ${what} that fills nothing says so in its first line, with the reasons, and warns`, () =>
          on(async (own) => {
            const { code, stdout, stderr } = await own.of({ '001-own': backfill }).text('up');
            expect(stdout.split('\n')[0]).to.equal(`warning: ${told}.`);
            expect(code).to.equal(0);
            expect(stderr).to.include('"event":"nothing_filled"');
            expect(stdout).to.include('Verification of 001-own: warn');
          }));

      it(`by ${what} that fills nothing says so in JSON and to a program, once`, () =>
        on(async (own) => {
          const events: MigratorEvent[] = [];
          const commands = own.of({ '001-own': backfill }, { onEvent: (event) => events.push(event) });
          const outcome = await commands.up();
          expect(outcome.error).to.equal(undefined);
          expect(outcome.warnings).to.deep.equal([told]);
          expect(events.filter(({ event }) => event === 'nothing_filled')).to.deep.equal([
            { event: 'nothing_filled', backfill: '001-own', cells, skips: reasons },
          ]);
          expect((await commands.up()).warnings).to.deep.equal([]);
          expect((await commands.rescan('001-own')).warnings).to.deep.equal([]);
        }));
    }

    it('that fills one cell, or finds none to fill, does not say that it filled nothing', () =>
      engine.withTables(withC, async (own) => {
        const one = defineBackfill({
          table: 't',
          key: 'id',
          columns: { b: sql(`CASE id WHEN 7 THEN 'x' END`) },
        });
        const none = defineBackfill({ table: 't', key: 'id', scope: 'id > 100', columns: { c: sql('a') } });
        expect((await own.of({ '001-one': one, '002-none': none }).up()).warnings).to.deep.equal([]);
      }));

    it('that is stopped says so when it goes on to its end, filling nothing', () =>
      engine.withTables(withC, async (own) => {
        const [, backfill] = EMPTY[0] as (typeof EMPTY)[number];
        const stopper = new AbortController();
        const steps = { '001-own': backfill };
        const onEvent = ({ event }: MigratorEvent): void => {
          if (event === 'batch_committed') stopper.abort('SIGTERM');
        };
        const stopped = await own.of(steps, { signal: stopper.signal, onEvent }).up();
        expect(stopped.error?.code).to.equal('TERMINATED');
        expect(stopped.warnings).to.deep.equal([]);
        expect((await own.of(steps).up()).warnings).to.have.lengthOf(1);
      }));

    it('of a column that is full says that its values are left as they are, and a dry run too', () =>
      engine.withTables(`${withC}; UPDATE t SET b = 'own'`, async (own) => {
        const backfill = defineBackfill({ table: 't', key: 'id', columns: { b: sql('upper(a)') } });
        const commands = own.of({ '001-own': backfill });
        const valuesLeft = { rows: 25, cells: { b: 25 } };
        expect((await commands.plan(['up'])).steps[0].fill).to.deep.include({
          cellsToFill: { b: 0 },
          valuesLeft,
        });
        const line = '25 rows already have a value and are left unchanged: 25 in b';
        expect((await commands.text('up', '--dry-run')).stdout).to.include(`\n  ${line}\n`);
        expect((await commands.text('up')).stdout).to.include(`001-own: ${line}\n`);
        expect(await own.rows(`SELECT count(*) FROM t WHERE b = 'own'`)).to.satisfy(
          (rows: unknown[][]) => Number(rows[0]?.[0]) === 25,
        );
        await commands.down();
        expect((await commands.up()).valuesLeft).to.deep.equal([{ backfill: '001-own', ...valuesLeft }]);
      }));

    it('by process() leaves a value that stands, be it the same that it derives, and its row unwritten', () =>
      engine.withTables(`${withC}; UPDATE t SET b = 'x' WHERE id > 23`, async (own) => {
        const process = (rows: readonly { readonly id?: unknown }[]) =>
          rows.map(({ id }) => (Number(id) === 25 ? { b: 'x' } : { b: 'x', c: 'y' }));
        const commands = own.of({
          '001-own': defineBackfill({ table: 't', key: 'id', reads: ['a'], columns: ['b', 'c'], process }),
        });
        const version = async () =>
          engine.name === 'PostgreSQL' ? await own.texts('SELECT xmin FROM t WHERE id = 25') : [];
        const before = await version();
        expect((await commands.up()).error?.message).to.equal(undefined);
        expect(await version()).to.deep.equal(before);
        expect((await commands.down()).cells).to.deep.equal([
          { backfill: '001-own', reverted: 47, kept: 0, gone: 0, underivable: 0 },
        ]);
        const left = await own.texts(
          'SELECT id, b, c FROM t WHERE b IS NOT NULL OR c IS NOT NULL ORDER BY id',
        );
        expect(left).to.deep.equal([
          ['24', 'x', null],
          ['25', 'x', null],
        ]);
      }));

    it('counts values of rows in scope alone, by column, and says nothing where there are none', () =>
      engine.withTables(
        `${withC}; UPDATE t SET b = 'own' WHERE id <= 9; UPDATE t SET c = 'own' WHERE id IN (8, 9, 10)`,
        async (own) => {
          const columns = { b: sql('upper(a)'), c: sql('lower(a)') };
          const step = (scope: string) =>
            own.of({ '001-own': defineBackfill({ table: 't', key: 'id', scope, columns }) });
          expect((await step('id > 7').plan(['up'])).steps[0].fill.valuesLeft).to.deep.equal({
            rows: 3,
            cells: { b: 2, c: 3 },
          });
          expect((await step('id > 7').up()).valuesLeft).to.deep.equal([
            { backfill: '001-own', rows: 3, cells: { b: 2, c: 3 } },
          ]);
          await step('id > 7').down();
          const none = step('id > 10');
          expect((await none.plan(['up'])).steps[0].fill).not.to.have.property('valuesLeft');
          expect((await none.up()).valuesLeft).to.deep.equal([]);
          // What it has filled itself is none of those.
          expect((await none.rescan('001-own')).error).to.equal(undefined);
          expect((await none.up()).valuesLeft).to.deep.equal([]);
        },
      ));
  });
}
