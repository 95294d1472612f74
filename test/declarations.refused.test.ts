import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type BackfillDefinition, type BackfillError, defineBackfill, sql } from '../src/index.js';
import { stoppedAfter } from './support/migrate.js';
import { numbered, OWN_ENGINES, type OwnTables } from './support/own-tables.js';
import { named, type Outcome, type Step } from './support/project.js';

// What would end in wrong cells that nobody calls wrong is refused, and what is refused leaves everything as it was.

const NAME = '1-fill';
const fill = (b: string, scope?: string, name = NAME): Step =>
  named(name, defineBackfill({ table: 't', key: 'id', columns: { b: sql(b) }, ...(scope ? { scope } : {}) }));
/** A function that goes by what is beside it, which its text does not show. */
let suffix = 'x';
const processed = named(
  NAME,
  defineBackfill({
    table: 't',
    key: 'id',
    reads: ['a'],
    columns: ['b'],
    process: (rows) => rows.map((row) => ({ b: `${row.a}${suffix}` })),
  }) as BackfillDefinition,
);

const failed = async (command: Promise<unknown>): Promise<BackfillError> => {
  const error: unknown = await command.then(
    (outcome) => (outcome as Outcome).error,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) throw new Error('Expected an error');
  return error as BackfillError;
};

for (const engine of OWN_ENGINES) {
  describe(`what would end in wrong cells, ${engine.name}`, () => {
    before(function () {
      if (engine.whyNot() !== undefined) this.skip();
    });
    const on = (act: (own: OwnTables) => Promise<void>) => engine.withTables(numbered(50), act);
    const filled = async (own: OwnTables): Promise<number> =>
      (await own.texts('SELECT 1 FROM t WHERE b IS NOT NULL')).length;

    it('is refused by `down` when the verification has failed, as those cells would be nobody’s', () =>
      on(async (own) => {
        const { up, down, plan } = own.of([processed]);
        suffix = 'x';
        expect((await failed(up({}, stoppedAfter(3)))).code).to.equal('TERMINATED');
        suffix = 'y';
        expect((await failed(up())).code).to.equal('VERIFICATION_FAILED');
        const { code, message } = await failed(down());
        expect(code).to.equal('CONFIRMATION_REQUIRED');
        expect(message).to.include('30 cells that it filled do not contain what their row derives');
        expect((await plan(['down'])).warnings).to.deep.equal([message]);
        expect(await filled(own)).to.equal(50);
        const { cells } = await down({}, { confirmed: true });
        expect(cells).to.deep.equal([{ backfill: NAME, reverted: 20, kept: 30, gone: 0, underivable: 0 }]);
      }));

    it('is a value that depends on what is filled: the first batch is rolled back', () =>
      on(async (own) => {
        const { up } = own.of([fill(`coalesce(b, '') || 'x'`)]);
        const { code, message } = await failed(up());
        expect(code).to.equal('NOT_DETERMINISTIC');
        expect(message).to.match(/^The value of b .* row with key 1 changes once the row is filled/);
        expect(await filled(own)).to.equal(0);
        const mended = own.of([fill(`coalesce(b, a)`)]);
        expect((await mended.up()).error).to.equal(undefined);
        expect((await mended.down()).cells[0]).to.include({ reverted: 50 });
      }));

    it('is a scope that a filled row leaves: the verification would not see it', () =>
      on(async (own) => {
        for (const scope of ['b IS NULL', '"b" IS NULL AND id > 3', 'coalesce(t.b, a) = a']) {
          const { up, plan } = own.of([fill('a', scope)]);
          for (const command of [up, () => plan(['up'])]) {
            const { code, message } = await failed(command());
            expect(code, scope).to.equal('STEP_INVALID');
            expect(message).to.include(`The scope of ${NAME} reads b, which it fills`);
          }
        }
        expect((await own.of([fill('a', `a <> 'b' AND id > 3`)]).up()).error).to.equal(undefined);
        expect(await filled(own)).to.equal(47);
      }));

    it('is a backfill that is not finished, and whose file is gone or has another name', () =>
      on(async (own) => {
        expect((await failed(own.of([fill('a')]).up({}, stoppedAfter(2)))).code).to.equal('TERMINATED');
        for (const steps of [[], [fill(`a || '!'`, undefined, '2-renamed')]]) {
          const { up, deploy, plan, status, down } = own.of(steps);
          for (const command of [up, deploy, () => plan(['up'])]) {
            const { code, hint } = await failed(command());
            expect(code).to.equal('STEP_FILE_MISSING');
            expect(hint).to.include(`down --to ${NAME}`);
          }
          const { isPending, drifts } = await status();
          expect(isPending).to.equal(true);
          expect(drifts[0]?.text).to.equal(`The step ${NAME} is not finished, and its file is missing`);
          expect(await filled(own)).to.equal(20);
          if (steps.length === 0) continue;
          expect((await down({ to: NAME })).cells[0]).to.include({ reverted: 20 });
          expect((await up()).error).to.equal(undefined);
        }
        expect(await own.texts(`SELECT count(*) FROM t WHERE b = a || '!'`)).to.deep.equal([['50']]);
      }));

    it('is left to nobody: a deploy that leaves backfills refuses one that can not go on', () =>
      on(async (own) => {
        expect((await failed(own.of([fill('a')]).up({}, stoppedAfter(2)))).code).to.equal('TERMINATED');
        const { code } = await failed(own.of([fill(`a || '!'`)]).deploy(['--backfills', 'background']));
        expect(code).to.equal('STEP_DRIFTED');
      }));

    it('is not what was filled by nothing: a declaration whose rows were all skipped is taken as it is', () =>
      on(async (own) => {
        expect((await failed(own.of([fill('nullif(a, a)')]).up({}, stoppedAfter(2)))).code).to.equal(
          'TERMINATED',
        );
        const { up, down } = own.of([fill('a')]);
        expect((await up()).error).to.equal(undefined);
        expect(await filled(own)).to.equal(50);
        expect((await down()).cells[0]).to.include({ reverted: 50, kept: 0 });
      }));

    it('is told with what mends it, once a finished backfill is declared otherwise', () =>
      on(async (own) => {
        await own.of([fill('a')]).up();
        const { warnings } = await own.of([fill(`a || '!'`)]).up();
        expect(warnings.join()).to.include(`backfill ${NAME} --rescan`).and.include(`down --to ${NAME}`);
      }));
  });
}
