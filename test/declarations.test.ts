import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type BackfillDefinition, type BackfillError, defineBackfill, firstOf, sql } from '../src/index.js';
import { checkOf, stoppedAfter } from './support/migrate.js';
import { OWN_ENGINES, type OwnTables } from './support/own-tables.js';
import { type Extra, named, type Outcome, type Step } from './support/project.js';

// A declaration that is changed once it has filled something: what it filled is judged by what filled it.

const NAME = '1-amounts';
const DDL = 'CREATE TABLE sales (id INTEGER PRIMARY KEY, cents INTEGER, amount REAL, note TEXT);';
const ROWS = 100;
const insert = (from: number, to: number): string =>
  `INSERT INTO sales (id, cents) VALUES ${Array.from({ length: to - from + 1 }, (_, i) => `(${from + i}, ${(from + i) * 10})`).join(', ')};`;

const by = (amount: string): Step =>
  named(NAME, defineBackfill({ table: 'sales', key: 'id', columns: { amount: sql(amount) } }));
const tens = by('cents / 10.0');
const hundreds = by('cents / 100.0');

type Process = (cents: number) => number;
const tenths: Process = (cents) => cents / 10;
const processed = (derive: Process, processVersion = 1): Step => {
  // Each its own text, as two versions of a file would have.
  const process =
    derive === tenths
      ? (rows: readonly { readonly cents?: unknown }[]) =>
          rows.map(({ cents }) => ({ amount: tenths(Number(cents)) }))
      : (rows: readonly { readonly cents?: unknown }[]) =>
          rows.map((row) => ({ amount: derive(Number(row.cents)) }));
  return named(
    NAME,
    defineBackfill({
      table: 'sales',
      key: 'id',
      reads: ['cents'],
      columns: ['amount'],
      process,
      processVersion,
    }) as BackfillDefinition,
  );
};

const amounts = (own: OwnTables) => own.texts('SELECT id, amount FROM sales ORDER BY id');
const expected = (divisor: number, rows = ROWS) =>
  Array.from({ length: rows }, (_, i) => [String(i + 1), String(((i + 1) * 10) / divisor)]);
const NULLS = (rows = ROWS) => Array.from({ length: rows }, (_, i) => [String(i + 1), null]);

const failed = async (command: Promise<Outcome>): Promise<BackfillError> => {
  const error: unknown = await command.then(
    ({ error: told }) => told,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) throw new Error('Expected an error');
  return error as BackfillError;
};

for (const engine of OWN_ENGINES) {
  describe(`a declaration that is changed, ${engine.name}`, () => {
    before(function () {
      if (engine.whyNot() !== undefined) this.skip();
    });
    const on = (act: (own: OwnTables) => Promise<void>) => engine.withTables(DDL + insert(1, ROWS), act);
    const succeed = async <Result extends Outcome>(command: Promise<Result>): Promise<Result> => {
      const outcome = await command;
      expect(outcome.error?.message).to.equal(undefined);
      return outcome;
    };
    /** An `up` that is stopped after three batches of ten rows. */
    const stop = async (own: OwnTables, step: Step): Promise<void> => {
      expect((await failed(own.of([step]).up({}, stoppedAfter(3)))).code).to.equal('TERMINATED');
    };

    it('is not gone on with half way, and a `down` and an `up` mend it', () =>
      on(async (own) => {
        await stop(own, tens);
        const before = await amounts(own);
        const mended = own.of([hundreds]);
        for (const command of [mended.up, mended.deploy, mended.backfill] as (() => Promise<Outcome>)[]) {
          const { code, hint } = await failed(command());
          expect(code).to.equal(command === mended.backfill ? 'STEP_NOT_APPLIED' : 'STEP_DRIFTED');
          if (code === 'STEP_DRIFTED')
            expect(hint).to.include(`umzug-backfill down --to ${NAME}, then umzug-backfill up`);
        }
        expect((await failed(mended.plan(['up']))).code).to.equal('STEP_DRIFTED');
        expect(await amounts(own)).to.deep.equal(before);
        const { cells } = await succeed(mended.down({ to: NAME }));
        expect(cells).to.deep.equal([{ backfill: NAME, reverted: 30, kept: 0, gone: 0, underivable: 0 }]);
        expect(await amounts(own)).to.deep.equal(NULLS());
        const { verifications } = await succeed(mended.up());
        expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
        expect(await amounts(own)).to.deep.equal(expected(100));
      }));

    it('is refused where a stopped `down` has taken back all that it filled, and some of what an earlier one did', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec(insert(ROWS + 1, ROWS + 20));
        await succeed(own.of([hundreds]).up());
        const five = stoppedAfter(5, 'batch_reverted');
        expect((await failed(own.of([hundreds]).down({}, five))).code).to.equal('TERMINATED');
        const before = await amounts(own);
        for (const step of [hundreds, by('cents / 1000.0')])
          expect((await failed(own.of([step]).up())).code).to.equal('STEP_DRIFTED');
        expect(await amounts(own)).to.deep.equal(before);
        await succeed(own.of([tens]).up());
        expect(await amounts(own)).to.deep.equal(expected(10, ROWS + 20));
        const found = { reverted: ROWS + 20, kept: 0, gone: 0, underivable: 0 };
        expect((await own.of([tens]).plan(['down'])).steps[0].cells).to.deep.equal(found);
        expect((await succeed(own.of([hundreds]).down())).cells).to.deep.equal([
          { backfill: NAME, ...found },
        ]);
        expect(await amounts(own)).to.deep.equal(NULLS(ROWS + 20));
      }));

    it('leaves no count of a stopped `down` to one behind the next `up`', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec(`DELETE FROM sales WHERE id > ${ROWS - 10}`);
        expect((await failed(own.of([tens]).down({}, stoppedAfter(2, 'batch_reverted')))).code).to.equal(
          'TERMINATED',
        );
        await succeed(own.of([tens]).up());
        const found = { reverted: ROWS - 10, kept: 0, gone: 0, underivable: 0 };
        expect((await own.of([tens]).plan(['down'])).steps[0].cells).to.deep.equal(found);
        expect((await succeed(own.of([tens]).down())).cells).to.deep.equal([{ backfill: NAME, ...found }]);
      }));

    it('is not failed for what the application wrote before, and the new one derives', () =>
      on(async (own) => {
        await own.exec(`UPDATE sales SET amount = cents / 100.0 WHERE id <= 10;
          UPDATE sales SET amount = cents / 10.0 WHERE id BETWEEN 91 AND 95; UPDATE sales SET note = 'n'`);
        const first = { scope: 'id <= 90 OR id = 100', columns: { amount: sql('cents / 10.0') } };
        const step = (definition: object): Step =>
          named(NAME, defineBackfill({ table: 'sales', key: 'id', ...first, ...definition }));
        await succeed(own.of([step({})]).up());
        for (const other of [
          { columns: { amount: sql('cents / 100.0') } },
          { scope: 'true' },
          { columns: { amount: sql('cents / 10.0'), note: sql(`'n'`) } },
        ]) {
          const [verification] = await own.of([step(other)]).verify();
          expect(checkOf(verification as never, 'integrity').verdict).to.equal('warn');
        }
        expect(checkOf((await own.of([step({})]).verify())[0] as never, 'integrity').verdict).to.equal(
          'pass',
        );
      }));

    it('is taken as it is while nothing was filled', () =>
      on(async (own) => {
        const stopped: Extra = { signal: AbortSignal.abort('SIGTERM') };
        expect((await failed(own.of([tens]).up({}, stopped))).code).to.equal('TERMINATED');
        await succeed(own.of([hundreds]).up());
        expect(await amounts(own)).to.deep.equal(expected(100));
        await succeed(own.of([hundreds]).down());
        expect(await amounts(own)).to.deep.equal(NULLS());
      }));

    it('begins anew what has filled nothing: with the rows of the new scope', () =>
      on(async (own) => {
        const scoped = (scope: string): Step =>
          named(
            NAME,
            defineBackfill({ table: 'sales', key: 'id', scope, columns: { amount: sql('cents / 10.0') } }),
          );
        const stopped: Extra = { signal: AbortSignal.abort('SIGTERM') };
        expect((await failed(own.of([scoped('id <= 5')]).up({}, stopped))).code).to.equal('TERMINATED');
        await succeed(own.of([scoped('id <= 95')]).up());
        expect((await amounts(own)).filter(([, amount]) => amount !== null)).to.have.length(95);
      }));

    it('begins a catch-up anew that has filled nothing, from where it was to begin', () =>
      engine.withTables(
        engine.name === 'SQLite'
          ? DDL.replace('PRIMARY KEY', 'PRIMARY KEY AUTOINCREMENT') + insert(1, 20)
          : DDL + insert(1, 20),
        async (own) => {
          await succeed(own.of([tens]).up());
          await own.exec(insert(21, 30));
          const stopped: Extra = { signal: AbortSignal.abort('SIGTERM') };
          expect((await failed(own.of([tens]).up({}, stopped))).code).to.equal('TERMINATED');
          await succeed(own.of([hundreds]).up());
          expect(await amounts(own)).to.deep.equal([...expected(10, 20), ...expected(100, 30).slice(20)]);
        },
      ));

    it('fills new rows once the backfill is done; `down` takes back what each has filled', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec(insert(ROWS + 1, ROWS + 20));
        const { drifts, verifications } = await succeed(own.of([hundreds]).up());
        expect(drifts.map(({ kind }) => kind)).to.deep.equal(['changed']);
        expect(await amounts(own)).to.deep.equal([...expected(10), ...expected(100, ROWS + 20).slice(ROWS)]);
        const consistency = checkOf(verifications[0] as never, 'consistency');
        expect(consistency.verdict).to.equal('warn');
        expect(consistency.stats).to.deep.include({
          declaredOtherwise: ROWS,
          changedInRun: 0,
          changedSince: 0,
          written: 0,
        });
        expect(checkOf(verifications[0] as never, 'integrity').verdict).to.equal('pass');
        const { cells } = await succeed(own.of([hundreds]).down());
        expect(cells).to.deep.equal([
          { backfill: NAME, reverted: ROWS + 20, kept: 0, gone: 0, underivable: 0 },
        ]);
        expect(await amounts(own)).to.deep.equal(NULLS(ROWS + 20));
      }));

    it('leaves its cells the ledger’s in a rescan', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec('UPDATE sales SET amount = 7 WHERE id = 3');
        const { verifications } = await succeed(own.of([hundreds]).rescan(NAME));
        const { stats } = checkOf(verifications[0] as never, 'consistency');
        expect(stats).to.deep.include({ declaredOtherwise: ROWS - 1, changedSince: 1, written: 0 });
        const { cells } = await succeed(own.of([hundreds]).down());
        expect(cells).to.deep.equal([
          { backfill: NAME, reverted: ROWS - 1, kept: 1, gone: 0, underivable: 0 },
        ]);
      }));

    it('needs no file to be taken back', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        const { cells } = await succeed(own.of([]).down());
        expect(cells).to.deep.equal([{ backfill: NAME, reverted: ROWS, kept: 0, gone: 0, underivable: 0 }]);
        expect(await amounts(own)).to.deep.equal(NULLS());
        expect((await own.ledger()).exists()).to.equal(false);
      }));

    it('may speak of other columns, or be one of another kind', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        const other = named(
          NAME,
          defineBackfill({ table: 'sales', key: 'id', columns: { note: firstOf('note', ['a'], 'note') } }),
        );
        const { cells } = await succeed(own.of([other]).down());
        expect(cells).to.deep.equal([{ backfill: NAME, reverted: ROWS, kept: 0, gone: 0, underivable: 0 }]);
        expect(await amounts(own)).to.deep.equal(NULLS());
      }));

    it('counts what is kept by why: changed, and of rows that are gone', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec('UPDATE sales SET amount = 7 WHERE id <= 2; UPDATE sales SET cents = 1 WHERE id = 3;');
        await own.exec(
          'UPDATE sales SET id = id + 1000 WHERE id BETWEEN 11 AND 15; DELETE FROM sales WHERE id = 21;',
        );
        await own.exec('UPDATE sales SET amount = NULL WHERE id = 31;');
        const found = { reverted: ROWS - 10, kept: 3, gone: 6, underivable: 0 };
        const [planned] = (await own.of([tens]).plan(['down'])).steps;
        expect(planned.cells).to.deep.equal(found);
        const { cells } = await succeed(own.of([tens]).down());
        expect(cells).to.deep.equal([{ backfill: NAME, ...found }]);
      }));

    it('counts a cell once in a dry run of `down`, though two runs have filled it', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec('UPDATE sales SET amount = NULL WHERE id <= 40');
        await succeed(own.of([tens]).rescan(NAME));
        const found = { reverted: ROWS, kept: 0, gone: 0, underivable: 0 };
        expect((await own.of([tens]).plan(['down'])).steps[0].cells).to.deep.equal(found);
        expect((await succeed(own.of([tens]).down())).cells).to.deep.equal([{ backfill: NAME, ...found }]);
        expect(await amounts(own)).to.deep.equal(NULLS());
      }));

    it('keeps what can not be derived any more since a later step has dropped it, and counts it', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec('ALTER TABLE sales DROP COLUMN cents');
        const { cells } = await succeed(own.of([tens]).down());
        expect(cells).to.deep.equal([{ backfill: NAME, reverted: 0, kept: 0, gone: 0, underivable: ROWS }]);
        expect(await amounts(own)).to.deep.equal(expected(10));
      }));

    it('keeps the cells of rows on which what filled them fails by now, once the file guards against it', () =>
      on(async (own) => {
        const text = engine.name === 'SQLite' ? "json_extract(note, '$.a')" : "note::json ->> 'a'";
        const one = own.of([by(`CAST(${text} AS REAL)`)]);
        const guarded = own.of([by(`CASE WHEN note LIKE '{%' THEN CAST(${text} AS REAL) END`)]);
        await own.exec(`UPDATE sales SET note = '{"a":1}'`);
        await succeed(one.up());
        await own.exec(
          `UPDATE sales SET note = 'x' WHERE id IN (7, 50); UPDATE sales SET amount = 2 WHERE id = 8`,
        );
        expect((await failed(one.plan(['down']))).code).to.equal('STEP_INVALID');
        await own.exec(`INSERT INTO sales (id, note) VALUES (${ROWS + 1}, '{"a":1}')`);
        const { verifications } = await succeed(guarded.up());
        const { stats } = checkOf(verifications[0] as never, 'consistency');
        expect(stats).to.deep.include({ underivable: 2, changedSince: 1, changedInRun: 0 });
        const found = { reverted: ROWS - 2, kept: 1, gone: 0, underivable: 2 };
        expect((await guarded.plan(['down'])).steps[0].cells).to.deep.equal(found);
        expect((await succeed(guarded.down())).cells).to.deep.equal([{ backfill: NAME, ...found }]);
        expect((await amounts(own)).filter(([, amount]) => amount !== null).map(([id]) => id)).to.deep.equal([
          '7',
          '8',
          '50',
        ]);
      }));

    it('fails on no more than its rows in a dry run of `down` for many keys that are texts', () =>
      engine.withTables(
        `CREATE TABLE sales (id TEXT PRIMARY KEY, cents INTEGER, amount TEXT, note TEXT);
        INSERT INTO sales (id, note) VALUES ${Array.from({ length: 100 }, (_, i) => `('k${100 + i}', '{"a":"b"}')`).join(', ')}`,
        async (own) => {
          const text = engine.name === 'SQLite' ? "json_extract(note, '$.a')" : "note::json ->> 'a'";
          await succeed(own.of([by(text)]).up({}, { batchRows: 100 }));
          await own.exec(`UPDATE sales SET note = 'x' WHERE id = 'k150'`);
          const guarded = own.of([by(`CASE WHEN note LIKE '{%' THEN ${text} END`)]);
          const found = { reverted: 99, kept: 0, gone: 0, underivable: 1 };
          expect((await guarded.plan(['down'])).steps[0].cells).to.deep.equal(found);
          expect((await succeed(guarded.down())).cells).to.deep.equal([{ backfill: NAME, ...found }]);
        },
      ));

    describe('damaged in the ledger', () => {
      const withRecord = (declaration: string, act: (own: OwnTables) => Promise<void>) =>
        on(async (own) => {
          await succeed(own.of([tens]).up());
          await own.exec(
            `UPDATE umzug_backfill_declarations SET fingerprint = 'x', declaration = '${declaration.replaceAll("'", "''")}'`,
          );
          await act(own);
        });
      const record = (columns: unknown): string =>
        JSON.stringify({ table: 'sales', key: 'id', scope: 'true', columns });
      const amount = (value: unknown): string => record([{ name: 'amount', value }]);

      // What reads the record is the same for both engines; one form shows that it is asked.
      const records = [
        ['is no JSON', '{'],
        ['is no declaration', 'null'],
        ['has no columns', record([])],
        [
          'has a column twice',
          record(Array(2).fill({ name: 'amount', value: { kind: 'sql', expression: '1' } })),
        ],
        ['asks a function that it does not have', amount({ kind: 'process' })],
        ['has a value of no kind', amount({ kind: 'other' })],
      ] as const;
      for (const [what, declaration] of engine.name === 'SQLite' ? records : records.slice(0, 1))
        it(`keeps its cells only with --yes where it ${what}`, () =>
          withRecord(declaration, async (own) => {
            const { code, message, hint } = await failed(own.of([tens]).down());
            expect([code, message]).to.deep.equal([
              'STEP_DRIFTED',
              `The declaration with which ${NAME} filled ${ROWS} cells can no longer be read from the ledger`,
            ]);
            expect(hint).to.match(/--yes: those cells then stay as they are$/);
            expect(await amounts(own)).to.deep.equal(expected(10));
            const { cells } = await succeed(own.of([tens]).down({}, { confirmed: true }));
            expect(cells).to.deep.equal([
              { backfill: NAME, reverted: 0, kept: 0, gone: 0, underivable: ROWS },
            ]);
            expect(await amounts(own)).to.deep.equal(expected(10));
          }));

      for (const expression of [
        'cents / 10.0), (1',
        'amount) FROM sales AS t --',
        '(SELECT 1); DELETE FROM sales; --',
        'max(cents)',
      ])
        it(`derives nothing by what is no expression of a row: ${expression}`, () =>
          withRecord(amount({ kind: 'sql', expression }), async (own) => {
            const found = { reverted: 0, kept: 0, gone: 0, underivable: ROWS };
            expect((await own.of([tens]).plan(['down'])).steps[0].cells).to.deep.equal(found);
            expect((await succeed(own.of([tens]).down())).cells).to.deep.equal([
              { backfill: NAME, ...found },
            ]);
            expect(await amounts(own)).to.deep.equal(expected(10));
          }));
    });

    it('counts as gone what was in a table, a key or a column that is not there any more', () =>
      on(async (own) => {
        for (const [from, to] of [
          ['ALTER TABLE sales RENAME TO others', 'ALTER TABLE others RENAME TO sales'],
          ['ALTER TABLE sales RENAME COLUMN id TO nr', 'ALTER TABLE sales RENAME COLUMN nr TO id'],
          ['ALTER TABLE sales RENAME COLUMN amount TO sum', 'ALTER TABLE sales RENAME COLUMN sum TO amount'],
        ] as const) {
          await succeed(own.of([tens]).up());
          await own.exec(from);
          const found = { reverted: 0, kept: 0, gone: ROWS, underivable: 0 };
          expect((await own.of([tens]).plan(['down'])).steps[0].cells).to.deep.equal(found);
          expect((await succeed(own.of([tens]).down())).cells).to.deep.equal([{ backfill: NAME, ...found }]);
          await own.exec(to);
          expect(await amounts(own)).to.deep.equal(expected(10));
          await own.exec('UPDATE sales SET amount = NULL');
        }
      }));

    describe('of a function', () => {
      const hundredths: Process = (cents) => cents / 100;

      it('warns that the text is another, never calls it drift, and wants --yes half way', () =>
        on(async (own) => {
          await stop(own, processed(tenths));
          const changed = own.of([processed(hundredths)]);
          const { code, hint } = await failed(changed.up());
          expect(code).to.equal('PROCESS_CHANGED');
          expect(hint).to.match(
            /--yes if it derives the same values; if not, restore the old function and revert with it: /,
          );
          const { warnings, drifts } = await changed.up({}, { confirmed: true, strict: true });
          expect(drifts).to.deep.equal([]);
          expect(warnings.join()).to.match(/raise processVersion if it derives other values$/);
        }));

      it('is gone on with by --yes, and `down` takes back what either text has filled', () =>
        on(async (own) => {
          await stop(own, processed(tenths));
          const sameValues = own.of([processed((cents) => (cents * 10) / 100)]);
          await succeed(sameValues.up({}, { confirmed: true }));
          expect(await amounts(own)).to.deep.equal(expected(10));
          await succeed(sameValues.down({}, { confirmed: true }));
          expect(await amounts(own)).to.deep.equal(NULLS());
        }));

      it('is mended half way with the old text: by the new one `down` would leave cells that nobody has changed', () =>
        on(async (own) => {
          await stop(own, processed(tenths));
          const changed = own.of([processed(hundredths)]);
          expect((await failed(changed.down())).code).to.equal('PROCESS_CHANGED');
          const { cells } = await succeed(own.of([processed(tenths)]).down());
          expect(cells).to.deep.equal([{ backfill: NAME, reverted: 30, kept: 0, gone: 0, underivable: 0 }]);
          const { verifications } = await succeed(changed.up());
          expect(verifications.map(({ verdict }) => verdict)).to.deep.equal(['pass']);
          expect(await amounts(own)).to.deep.equal(expected(100));
        }));

      it('warns of it once the backfill is done, and goes on', () =>
        on(async (own) => {
          await succeed(own.of([processed(tenths)]).up());
          await own.exec(insert(ROWS + 1, ROWS + 5));
          const { warnings } = await succeed(own.of([processed(hundredths)]).up({}, { strict: true }));
          expect(warnings.join()).to.match(/raise processVersion if it derives other values$/);
        }));

      it('wants the old text back for `down` where the changed one derives otherwise, or --yes, which keeps its cells', () =>
        on(async (own) => {
          await succeed(own.of([processed(tenths)]).up());
          const changed = own.of([processed(hundredths)]);
          const { code, message } = await failed(changed.down());
          expect(code).to.equal('PROCESS_CHANGED');
          expect((await changed.plan(['down'])).warnings).to.deep.equal([message]);
          expect((await own.ledger()).step(NAME)?.status).to.equal('applied');
          const { cells } = await succeed(changed.down({}, { confirmed: true }));
          expect(cells).to.deep.equal([{ backfill: NAME, reverted: 0, kept: 0, gone: 0, underivable: ROWS }]);
          expect(await amounts(own)).to.deep.equal(expected(10));
        }));

      it('wants the old version back for `down`, or --yes, which keeps its cells and counts them', () =>
        on(async (own) => {
          await succeed(own.of([processed(tenths)]).up());
          const raised = own.of([processed(hundredths, 2)]);
          const { code, message } = await failed(raised.down());
          expect(code).to.equal('STEP_DRIFTED');
          expect(message).to.equal(
            `${ROWS} cells of ${NAME} were filled by version 1 of \`process\`, which is no longer in its file`,
          );
          const { cells } = await succeed(raised.down({}, { confirmed: true }));
          expect(cells).to.deep.equal([{ backfill: NAME, reverted: 0, kept: 0, gone: 0, underivable: ROWS }]);
          expect(await amounts(own)).to.deep.equal(expected(10));
        }));

      it('is asked again for what it filled where only the columns and the scope are others by now', () =>
        on(async (own) => {
          const fill = (columns: readonly string[], scope: string): Step =>
            named(
              NAME,
              defineBackfill({
                table: 'sales',
                key: 'id',
                scope,
                reads: ['cents'],
                columns,
                process: (rows) =>
                  rows.map((row) => ({ [columns.at(-1) as string]: Number(row.cents) / 10 })),
              }) as BackfillDefinition,
            );
          await succeed(own.of([fill(['amount'], 'id <= 60')]).up());
          const other = own.of([fill(['note', 'amount'], 'id <= 70')]);
          await own.exec('UPDATE sales SET amount = 7 WHERE id = 3');
          await succeed(other.rescan(NAME));
          expect((await other.plan(['down'])).steps[0].cells).to.deep.include({ kept: 1 });
          const { cells } = await succeed(other.down());
          expect(cells).to.deep.equal([{ backfill: NAME, reverted: 69, kept: 1, gone: 0, underivable: 0 }]);
          expect((await amounts(own)).filter(([, amount]) => amount !== null)).to.deep.equal([['3', '7']]);
        }));

      it('is asked for some of the columns that it fills, where the others came later, or are gone', () =>
        on(async (own) => {
          const fill = (columns: readonly string[]): Step =>
            named(
              NAME,
              defineBackfill({
                table: 'sales',
                key: 'id',
                reads: ['cents'],
                columns,
                process: (rows) => rows.map(() => Object.fromEntries(columns.map((column) => [column, 7]))),
              }) as BackfillDefinition,
            );
          const found = { reverted: ROWS, kept: 0, gone: 0, underivable: 0 };
          const more = own.of([fill(['amount', 'note'])]);
          await succeed(own.of([fill(['amount'])]).up());
          await own.exec('UPDATE sales SET amount = 8 WHERE id = 1');
          const [verification] = await more.verify();
          expect(checkOf(verification as never, 'consistency').stats).to.deep.include({ changedSince: 1 });
          await own.exec('UPDATE sales SET amount = 7 WHERE id = 1');
          expect((await more.plan(['down'])).steps[0].cells).to.deep.equal(found);
          expect((await succeed(more.down())).cells).to.deep.equal([{ backfill: NAME, ...found }]);

          await succeed(more.up());
          await own.exec('ALTER TABLE sales DROP COLUMN note');
          expect((await more.plan(['down'])).steps[0].cells).to.deep.equal({ ...found, gone: ROWS });
          expect((await succeed(more.down())).cells).to.deep.equal([
            { backfill: NAME, ...found, gone: ROWS },
          ]);
        }));

      it('is not in the file any more for a column that it no longer fills', () =>
        on(async (own) => {
          const fill = (columns: readonly string[]): Step =>
            named(
              NAME,
              defineBackfill({
                table: 'sales',
                key: 'id',
                reads: ['cents'],
                columns,
                process: (rows) => rows.map(() => Object.fromEntries(columns.map((column) => [column, 7]))),
              }) as BackfillDefinition,
            );
          await succeed(own.of([fill(['amount', 'note'])]).up());
          const fewer = own.of([fill(['note'])]);
          expect((await failed(fewer.down())).code).to.equal('STEP_DRIFTED');
          expect((await own.of([fill(['amount', 'note'])]).down()).cells).to.deep.equal([
            { backfill: NAME, reverted: 2 * ROWS, kept: 0, gone: 0, underivable: 0 },
          ]);
        }));

      it('is not compared by the verification once its version is another', () =>
        on(async (own) => {
          await succeed(own.of([processed(tenths)]).up());
          const [verification] = await own.of([processed(hundredths, 2)]).verify();
          const { verdict, stats } = checkOf(verification as never, 'consistency');
          expect(verdict).to.equal('warn');
          expect(stats).to.deep.include({ underivable: ROWS, changedSince: 0, changedInRun: 0 });
        }));
    });
  });

  describe(`the format of the ledger, ${engine.name}`, () => {
    before(function () {
      if (engine.whyNot() !== undefined) this.skip();
    });
    it('is noted; one of a later version of this package is refused by every command', () =>
      engine.withTables(DDL + insert(1, 20), async (own) => {
        const { up, down, backfill, plan, verify, status, skips, deploy } = own.of([tens]);
        await up();
        expect(await own.texts('SELECT version FROM umzug_backfill_format')).to.deep.equal([['4']]);
        await own.exec('UPDATE umzug_backfill_format SET version = 5');
        for (const command of [
          up,
          down,
          backfill,
          () => plan(['up']),
          verify,
          status,
          skips,
          deploy,
        ] as (() => Promise<Outcome>)[]) {
          const { code, message } = await failed(command());
          expect([code, message]).to.deep.equal([
            'PACKAGE_TOO_OLD',
            'The ledger of this store has format 5; this version of the package reads formats up to 4',
          ]);
        }
      }));

    for (const [what, sql, format] of [
      [
        '3, whose columns had other names',
        `ALTER TABLE umzug_backfill_steps RENAME COLUMN object_count TO objects;
        ALTER TABLE umzug_backfill_runs RENAME COLUMN prefilled_cells TO found_cells;
        ALTER TABLE umzug_backfill_commands RENAME COLUMN started_at TO begun_at;
        UPDATE umzug_backfill_format SET version = 3`,
        3,
      ],
      ['2', 'UPDATE umzug_backfill_format SET version = 2', 2],
      ['1, which had no table to say so', 'DROP TABLE umzug_backfill_format', 1],
    ] as const) {
      it(`is refused by every command where it is ${what}: it is read by the version that wrote it alone`, () =>
        engine.withTables(DDL + insert(1, 20), async (own) => {
          const { up, down, backfill, plan, verify, status, skips, deploy } = own.of([tens]);
          await up();
          await own.exec(sql);
          const before = await own.ledger();
          const act = [up, down, backfill, () => plan(['up']), verify, status, skips, deploy];
          for (const command of act as (() => Promise<Outcome>)[]) {
            const { code, message, hint } = await failed(command());
            expect([code, message]).to.deep.equal([
              'LEDGER_TOO_OLD',
              `The ledger of this store has format ${format}; this version of the package reads formats from 4 on`,
            ]);
            expect(hint).to.include('down --to 0');
            expect(hint?.includes('umzug-backfill restore')).to.equal(engine.name === 'SQLite');
          }
          expect((await own.ledger()).batches(NAME)).to.deep.equal(before.batches(NAME));
        }));
    }
  });
}
