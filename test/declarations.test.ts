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

    it('fills new rows once the backfill is done; `down` takes back what each has filled', () =>
      on(async (own) => {
        await succeed(own.of([tens]).up());
        await own.exec(insert(ROWS + 1, ROWS + 20));
        const { drifts, verifications } = await succeed(own.of([hundreds]).up());
        expect(drifts.map(({ kind }) => kind)).to.deep.equal(['changed']);
        expect(await amounts(own)).to.deep.equal([...expected(10), ...expected(100, ROWS + 20).slice(ROWS)]);
        const consistency = checkOf(verifications[0] as never, 'consistency');
        expect(consistency.verdict).to.equal('warn');
        expect(consistency.figures).to.deep.include({
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
        const { figures } = checkOf(verifications[0] as never, 'consistency');
        expect(figures).to.deep.include({ declaredOtherwise: ROWS - 1, changedSince: 1, written: 0 });
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

    describe('of a function', () => {
      const hundredths: Process = (cents) => cents / 100;

      it('warns that the text is another, never calls it drift, and wants --yes half way', () =>
        on(async (own) => {
          await stop(own, processed(tenths));
          const changed = own.of([processed(hundredths)]);
          const { code, hint } = await failed(changed.up());
          expect(code).to.equal('PROCESS_CHANGED');
          expect(hint).to.match(/--yes; if not, put it back as it was and take back what it has filled: /);
          const { warnings, drifts } = await changed.up({}, { isConfirmed: true, isStrict: true });
          expect(drifts).to.deep.equal([]);
          expect(warnings.join()).to.match(/raise processVersion$/);
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
          const { warnings } = await succeed(own.of([processed(hundredths)]).up({}, { isStrict: true }));
          expect(warnings.join()).to.match(/raise processVersion$/);
        }));

      it('keeps, and counts as its own, what the changed text does not derive', () =>
        on(async (own) => {
          await succeed(own.of([processed(tenths)]).up());
          const { cells } = await succeed(own.of([processed(hundredths)]).down());
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
            `${ROWS} cells of ${NAME} were filled by version 1 of \`process\`, which is not in its file any more`,
          );
          const { cells } = await succeed(raised.down({}, { isConfirmed: true }));
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

      it('is not compared by the verification once its version is another', () =>
        on(async (own) => {
          await succeed(own.of([processed(tenths)]).up());
          const [verification] = await own.of([processed(hundredths, 2)]).verify();
          const { verdict, figures } = checkOf(verification as never, 'consistency');
          expect(verdict).to.equal('warn');
          expect(figures).to.deep.include({ underivable: ROWS, changedSince: 0, changedInRun: 0 });
        }));
    });
  });

  describe(`the format of the ledger, ${engine.name}`, () => {
    before(function () {
      if (engine.whyNot() !== undefined) this.skip();
    });
    const LATER = ['declarations', 'kept', 'format']
      .map((name) => `DROP TABLE umzug_backfill_${name};`)
      .join('\n');

    it('is noted; one of a later version of this package is refused by every command', () =>
      engine.withTables(DDL + insert(1, 20), async (own) => {
        const { up, down, backfill, plan, verify, status, skips, deploy } = own.of([tens]);
        await up();
        expect(await own.texts('SELECT version FROM umzug_backfill_format')).to.deep.equal([['2']]);
        await own.exec('UPDATE umzug_backfill_format SET version = 3');
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
            'The ledger of this store has format 3, and this version of the package knows the formats up to 2',
          ]);
        }
      }));

    it('is brought up to date by the first command that writes, and read as it is before', () =>
      engine.withTables(DDL + insert(1, 20), async (own) => {
        const { up, down, status, verify } = own.of([tens]);
        await up();
        await own.exec(LATER + insert(21, 30));
        expect((await status()).steps.map(({ state }) => state)).to.deep.equal(['applied']);
        expect((await verify()).map(({ verdict }) => verdict)).to.deep.equal(['warn']);
        expect((await up()).error).to.equal(undefined);
        expect(await own.texts('SELECT version FROM umzug_backfill_format')).to.deep.equal([['2']]);
        await own.exec(LATER);
        expect((await down()).cells).to.deep.equal([
          { backfill: NAME, reverted: 30, kept: 0, gone: 0, underivable: 0 },
        ]);
        expect((await own.ledger()).exists()).to.equal(false);
      }));
  });
}
