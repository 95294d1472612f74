import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, type ProcessOptions } from '../src/index.js';
import { needEngine } from './support/engines.js';
import { anError } from './support/errors.js';
import { numbered, OWN_ENGINES, type OwnTables } from './support/own-tables.js';
import { refusalOf } from './support/postgres-tables.js';

// What `process` may do that is not its contract: nothing of it is taken for values, and nothing of it ends but in a code.

type Process = ProcessOptions<'b', 'id', 'a'>['process'];
const backfillBy = (process: Process): BackfillDefinition =>
  defineBackfill({ table: 't', key: 'id', reads: ['a'], columns: ['b'], process });

const filled = (own: OwnTables): Promise<unknown[][]> =>
  own.rows('SELECT id FROM t WHERE b IS NOT NULL ORDER BY id');

/** Keys of rows on which it misbehaves, of 25. */
const ODD = [3, 14, 25];
const others = Array.from({ length: 25 }, (_, i) => [i + 1]).filter(([id = 0]) => !ODD.includes(id));

for (const engine of OWN_ENGINES) {
  describe(`a process() that misbehaves, on ${engine.name}`, () => {
    before(function () {
      needEngine(this, engine);
    });

    const on = (
      process: Process,
      act: (own: OwnTables, steps: { '001-own': BackfillDefinition }) => Promise<void>,
    ) => engine.withTables(numbered(25), (own) => act(own, { '001-own': backfillBy(process) }));

    for (const [what, process] of [
      ['for each row', (rows) => rows.map(async () => ({ b: 'x' }))],
      [
        'for one row',
        (rows) => rows.map(({ id }) => (Number(id) === 7 ? Promise.resolve({ b: 'x' }) : { b: 'x' })),
      ],
      ['that is rejected', (rows) => rows.map(async ({ a }) => Promise.reject(new Error(`secret ${a}`)))],
      ['for all', (rows) => Promise.resolve(rows.map(() => ({ b: 'x' })))],
      [
        'that is one only by its then()',
        (rows) => rows.map(() => Object.fromEntries([['then', () => undefined]])),
      ],
    ] as const satisfies readonly (readonly [string, (rows: Parameters<Process>[0]) => unknown])[]) {
      it(`is refused with its first batch when it returns a promise ${what}, also by a dry run`, () =>
        on(process as never, async (own, steps) => {
          const commands = own.of(steps);
          for (const command of [() => commands.plan(['up']), () => commands.up()]) {
            const error = await refusalOf('STEP_INVALID', command());
            expect(error.message).to.equal(
              '`process` of 001-own returned a promise, but must be synchronous',
            );
          }
          expect(await filled(own)).to.deep.equal([]);
        }));
    }

    for (const [what, entry] of [
      ['an array', []],
      ['a Map', new Map([['b', 'x']])],
      ['a Date', new Date(0)],
      ['nothing, in a list with holes', undefined],
    ] as const) {
      it(`is refused when it returns ${what} for a row, which would leave the row alone`, () =>
        on(
          ((rows: readonly unknown[]) =>
            entry === undefined ? new Array(rows.length) : rows.map(() => entry)) as never,
          async (own, steps) => {
            const error = await refusalOf('STEP_INVALID', own.of(steps).up());
            expect(error.message).to.include('did not return an array with one object per row');
            expect(await filled(own)).to.deep.equal([]);
          },
        ));
    }

    it('may leave rows alone by an object without values, of any class', () =>
      on(
        (rows) =>
          rows.map(({ id }) =>
            Number(id) === 1
              ? new (class Row {
                  b = 'x';
                })()
              : {},
          ),
        async (own, steps) => {
          expect((await own.of(steps).up()).error).to.equal(undefined);
          expect(await filled(own)).to.deep.equal([[1]]);
        },
      ));

    for (const [what, odd] of [
      [
        'a getter of what it returns throws',
        () => ({
          get b(): string {
            throw new Error('secret');
          },
        }),
      ],
      [
        'what it returns can not be read at all',
        () =>
          new Proxy({} as { b?: string }, {
            ownKeys: () => {
              throw new Error('secret');
            },
          }),
      ],
      [
        'it throws an error of this package',
        () => {
          throw anError('INTERNAL', 'secret', 'secret');
        },
      ],
      [
        'it throws null',
        () => {
          throw null;
        },
      ],
      [
        'it throws what looks like an error of the store',
        () => {
          throw Object.assign(new Error('secret'), { name: 'SqliteError', code: 'SQLITE_BUSY' });
        },
      ],
    ] as const) {
      it(`leaves those rows alone on which ${what}, and no others`, () =>
        on(
          (rows) => rows.map(({ id }) => (ODD.includes(Number(id)) ? odd() : { b: 'x' })),
          async (own, steps) => {
            const commands = own.of(steps);
            expect((await commands.plan(['up'])).steps[0].fill).to.deep.include({
              cellsToFill: { b: 22 },
              skips: { PROCESS_FAILED: 3 },
            });
            const outcome = await commands.up();
            expect(outcome.error).to.equal(undefined);
            expect(outcome.verifications.map(({ verdict }) => verdict)).to.deep.equal(['warn']);
            expect(await filled(own)).to.deep.equal(others);
            expect((await commands.skips())[0]?.skips).to.deep.equal(
              ODD.map((key) => ({ key: String(key), target: '*', reason: 'PROCESS_FAILED' })),
            );
            expect(JSON.stringify(outcome)).not.to.include('secret');
            expect((await commands.down()).cells).to.deep.equal([
              { backfill: '001-own', reverted: 22, kept: 0, gone: 0, underivable: 0 },
            ]);
            expect(await filled(own)).to.deep.equal([]);
          },
        ));
    }

    let calls = 0;
    for (const [what, process] of [
      ['of the time', (rows) => rows.map(() => ({ b: String(Date.now()) }))],
      ['of chance', (rows) => rows.map(() => ({ b: Math.random().toString() }))],
      ['of earlier calls', (rows) => rows.map(() => ({ b: String(calls++) }))],
      ['now and then', (rows) => rows.map(() => (calls++ % 3 === 0 ? { b: 'x' } : {}))],
    ] as const satisfies readonly (readonly [string, Process])[]) {
      it(`is refused before it fills anything when its values are ${what}, also by a dry run`, () =>
        on(process, async (own, steps) => {
          const commands = own.of(steps);
          for (const command of [() => commands.plan(['up']), () => commands.up()]) {
            const error = await refusalOf('NOT_DETERMINISTIC', command());
            expect(error.message).to.match(
              /^`process` of 001-own returned another value of b when it was called again for the row with key \d+$/,
            );
          }
          expect(await filled(own)).to.deep.equal([]);
        }));
    }

    it('is refused so in a table of one row as well, and when a run begins again', () =>
      engine.withTables(numbered(1), async (own) => {
        let isSteady = false;
        const commands = own.of({
          '001-own': backfillBy((rows) => rows.map(() => ({ b: isSteady ? 'x' : String(calls++) }))),
        });
        await refusalOf('NOT_DETERMINISTIC', commands.up());
        await refusalOf('NOT_DETERMINISTIC', commands.up());
        isSteady = true;
        expect((await commands.up()).error).to.equal(undefined);
        expect(await filled(own)).to.deep.equal([[1]]);
      }));

    it('is asked twice for 16 rows at most', () =>
      engine.withTables(numbered(400), async (own) => {
        const asked = new Map<number, number>();
        const process: Process = (rows) =>
          rows.map(({ id }) => {
            asked.set(Number(id), (asked.get(Number(id)) ?? 0) + 1);
            return { b: 'x' };
          });
        expect((await own.of({ '001-own': backfillBy(process) }).up()).error).to.equal(undefined);
        const usual = asked.get(400) ?? 0;
        expect([...asked].filter(([, times]) => times !== usual).map(([id]) => id)).to.deep.equal(
          Array.from({ length: 16 }, (_, i) => i + 1),
        );
      }));
  });
}
