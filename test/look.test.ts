import { expect } from 'chai';
import { describe, it } from 'mocha';
import { withSession } from '../src/migrator/session.js';
import { planSchemaStep } from '../src/schema/plan.js';
import { change, project, withPlainStore } from './support/migrate.js';
import { asAgentOs, schemaStep } from './support/stores.js';

describe('a look at a store that another run changes meanwhile', () => {
  it('sees the store as it was at its beginning, from its first statement to its last', () =>
    withPlainStore(async (path) => {
      await withSession({ project, path }, 'look', ({ store, ledger }) => {
        const see = () => ({ plan: planSchemaStep(store, schemaStep), steps: ledger.steps() });
        const first = see();
        expect(first.plan.indexes.map(({ makes }) => makes.name)).to.have.length(3);
        change(path, first.plan.first.map(({ sql }) => sql).join(';'));
        change(path, first.plan.indexes.map(({ sql }) => sql).join(';'));
        // Half of each would look as if somebody else had made the index of that name.
        expect(see()).to.deep.equal(first);
      });
      await withSession({ project, path }, 'look', ({ store }) =>
        expect(planSchemaStep(store, schemaStep)).to.deep.equal({ first: [], indexes: [] }),
      );
    }));

  it('keeps nobody from writing when it is over', () =>
    withPlainStore(
      async (path) => {
        const failed = await withSession({ project, path }, 'look', () => {
          throw new RangeError('of a test');
        }).catch((error: unknown) => error);
        expect(failed).to.be.instanceOf(RangeError);
        await withSession({ project, path }, 'look', () => undefined);
        asAgentOs(path, (db) => {
          db.pragma('busy_timeout = 0');
          db.exec('BEGIN EXCLUSIVE; COMMIT');
        });
      },
      [],
      { journalMode: 'delete' },
    ));
});
