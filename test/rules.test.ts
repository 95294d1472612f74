import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type BackfillDefinition, defineBackfill, sql, type VerificationRule } from '../src/index.js';
import { NAME, withOwnTable } from './support/own-table.js';
import { projectOf, run } from './support/project.js';
import { failureOf } from './support/stores.js';

const DDL = `CREATE TABLE parcels (id INTEGER PRIMARY KEY, grams INTEGER, kilos REAL);
  WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 30)
  INSERT INTO parcels (id, grams) SELECT i, i * 100 FROM n`;

const withRules = (rules: readonly VerificationRule[]): BackfillDefinition =>
  defineBackfill({
    table: 'parcels',
    key: 'id',
    columns: { kilos: sql('grams / 1000.0') },
    checks: { rules },
  });

const light: VerificationRule = {
  title: 'no parcel is heavy',
  query: 'SELECT id FROM parcels WHERE kilos > 1.8 ORDER BY id',
};
const known: VerificationRule = {
  title: 'each is weighed',
  query: 'SELECT id FROM parcels WHERE kilos IS NULL',
};

describe('a check that a project does not ask for', () => {
  it('says so, and does not speak of columns as if they held timestamps', () =>
    withOwnTable(DDL, withRules([]), async (own) => {
      const checks = (await own.up()).verifications[0]?.checks ?? [];
      const textsOf = (id: string): string[] =>
        checks.find((check) => check.id === id)?.findings.map(({ text }) => text) ?? [];
      expect(textsOf('timestamps')).to.deep.equal(['Not configured']);
      expect(textsOf('lag')).to.deep.equal(['Not configured']);
      expect(textsOf('index-use')).to.deep.equal(['Not configured']);
      expect(textsOf('groups')).to.deep.equal(['All rows: 30 rows, kilos 30 (100%)']);
    }));
});

describe('a rule of a project’s own', () => {
  it('is a check behind the others: broken it fails, with the rows, and the next `up` looks again', () =>
    withOwnTable(DDL, withRules([light, known]), async (own) => {
      const { error, verifications } = await own.up();
      expect(error?.code).to.equal('VERIFICATION_FAILED');
      expect(error?.message).to.include('Rules');
      const check = verifications[0]?.checks.at(-1);
      expect(check).to.deep.include({ id: 'rules', title: 'Rules', verdict: 'fail' });
      expect(check?.findings).to.deep.equal([
        {
          verdict: 'fail',
          text: 'no parcel is heavy: 12 rows break it',
          sampleKeys: Array.from({ length: 10 }, (_, i) => String(19 + i)),
        },
        { verdict: 'pass', text: 'each is weighed: no row breaks it' },
      ]);
      own.exec('DELETE FROM parcels WHERE id > 18');
      expect((await own.up()).verifications.map(({ verdict }) => verdict)).to.deep.equal(['warn']); // rows are gone
    }));

  it('only warns where it says so', () =>
    withOwnTable(DDL, withRules([{ ...light, verdict: 'warn' }]), async (own) => {
      const { error, verifications } = await own.up();
      expect(error).to.equal(undefined);
      expect(verifications[0]?.verdict).to.equal('warn');
    }));

  it('is not there where a project has none', () =>
    withOwnTable(DDL, withRules([]), async (own) => {
      expect((await own.up()).verifications[0]?.checks.at(-1)).to.deep.include({
        id: 'rules',
        verdict: 'pass',
      });
      await own.down();
    }).then(() =>
      withOwnTable(
        DDL,
        defineBackfill({ table: 'parcels', key: 'id', columns: { kilos: sql('grams / 1000.0') } }),
        async (own) => {
          expect((await own.up()).verifications[0]?.checks).to.have.length(8);
        },
      ),
    ));

  for (const query of [
    'SELECT id FROM nowhere',
    'DELETE FROM parcels RETURNING id',
    'UPDATE parcels SET kilos = 1 RETURNING id',
    'SELECT 1; SELECT 2',
    'no SQL',
  ]) {
    it(`is refused before anything is done when it is no SELECT: ${query}`, () =>
      withOwnTable(DDL, withRules([{ title: 'wrong', query }]), async (own) => {
        const { message } = await failureOf('STEP_INVALID', () => own.up());
        expect(message).to.equal(
          `The query of the rule "wrong" of ${NAME} is not a SELECT that this store can run`,
        );
        expect(own.rows('SELECT count(*) FROM parcels WHERE kilos IS NULL')).to.deep.equal([[30]]);
      }));
  }

  it('is part of what is printed as SQL', () =>
    withOwnTable(DDL, withRules([light]), async (own) => {
      const printed = await run<{ readonly sql: readonly string[] }>(projectOf([own.step]), own, [
        'verify',
        '--print-sql',
      ]);
      expect(printed.sql.join()).to.match(
        /^-- \d+\. Rule: no parcel is heavy\n.*\nSELECT id FROM parcels WHERE kilos > 1\.8 ORDER BY id;$/m,
      );
    }));

  it('is refused where it is defined when it is misspelt', async () => {
    for (const rule of [
      { ...light, verdit: 'warn' },
      { ...light, verdict: 'error' },
      { title: '', query: 'x' },
      { title: 'x' },
    ])
      await failureOf('STEP_INVALID', () => withRules([rule as VerificationRule]));
  });
});
