import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { expectRefusal, useFolder } from '../support/cli.js';
import { LEDGER_TABLES } from '../support/ledger.js';
import { on } from '../support/on-store.js';
import { asAgentOs, dumpSchema, dumpTable } from '../support/stores.js';

const schemaStep = 'v021-1-decision-columns';
const backfillStep = 'v021-2-decision-fields';

/** What AgentOS sees of a store: its schema without our ledger, its audits and versions. */
function dump(store: string): unknown {
  const schema = (dumpSchema(store) as { tbl_name: string }[]).filter(
    ({ tbl_name }) => !/^umzug_backfill_|^sqlite_/.test(tbl_name),
  );
  return { schema, audits: dumpTable(store), versions: dumpTable(store, 'schema_version') };
}

describe('the command down', () => {
  const folder = useFolder();
  let copies = 0;
  const copy = (name: 'v20' | 'v21'): string => {
    copies += 1;
    copyFileSync(folder.file(`${name}.db`), folder.file(`copy-${copies}.db`));
    return folder.file(`copy-${copies}.db`);
  };

  before(async () => {
    generateStore({ path: folder.file('v20.db'), audits: 400, rareShare: 0.1 });
    copyFileSync(folder.file('v20.db'), folder.file('v21.db'));
    await on(folder.file('v21.db')).run(['up']);
  });

  it('reverts the backfill, then the schema step, then nothing', async () => {
    const [store, original] = [copy('v21'), dump(folder.file('v20.db'))];
    const { run, look } = on(store);
    expect((await look(['down', '--dry-run'])).stdout).to.match(
      new RegExp(`${backfillStep}\n  [\\d,]+ cells reverted, 0 kept`),
    );
    const first = await run(['down']);
    expect(first.stdout)
      .to.match(/\d+ cells reverted, 0 kept/)
      .and.include(`reverted ${backfillStep}`);
    expect(first.stdout).to.match(/The store (grew|shrank|has) /);
    expect((await look(['executed'])).stdout).to.equal(`${schemaStep}\n`);
    expect((await look(['down', '--dry-run'])).stdout).to.include('DROP COLUMN "source_event_ts"');
    expect((await run(['down'])).stdout).to.include(`reverted ${schemaStep}`);
    expect(dump(store)).to.deep.equal(original);
    expect((await look(['down'])).stdout).to.equal('Nothing to do: no step is applied.\n');
    expect((await look(['down', '--json'])).json()).to.deep.include({ command: 'down', reverted: [] });
  });

  it('says of a step that made nothing that it does nothing', async () => {
    const store = copy('v21');
    asAgentOs(store, (db) => {
      for (const table of LEDGER_TABLES) db.exec(`DROP TABLE ${table}`); // as if the application had made it all
      db.exec(`INSERT INTO schema_version (version) VALUES ('0.30.0')`);
    });
    const { run, look } = on(store);
    await run(['up']);
    expect((await look(['down', '--to', '0', '--dry-run'])).stdout).to.include(
      `${schemaStep}\n  nothing: it created nothing\n`,
    );
    expect((await run(['down', '--to', '0'])).stdout).to.include(`reverted ${schemaStep}`);
  });

  it('reverts all with --to 0, and as many or as far as it is told', async () => {
    const original = dump(folder.file('v20.db'));
    for (const target of [
      ['--to', '0', '--yes'],
      ['--to', schemaStep],
      ['--step', '2'],
      ['--step', '9'],
    ]) {
      const store = copy('v21');
      const { reverted } = (await on(store).run(['down', ...target, '--json'])).json();
      expect(reverted, target.join(' ')).to.deep.equal([backfillStep, schemaStep]);
      expect(dump(store), target.join(' ')).to.deep.equal(original);
    }
    const store = copy('v21');
    const { reverted } = (await on(store).run(['down', '--to', backfillStep, '--json'])).json();
    expect(reverted).to.deep.equal([backfillStep]);
  });

  it('refuses to revert down to a step that is not applied', async () => {
    const { run, look } = on(copy('v20'));
    await run(['up', '--to', schemaStep]);
    expectRefusal(await look(['down', '--to', backfillStep], 1), 'STEP_NOT_APPLIED', 1);
  });

  it('keeps what the application changed, and drops it only with --yes', async () => {
    const store = copy('v21');
    const { run, look } = on(store);
    asAgentOs(store, (db) => db.exec(`UPDATE task_audits SET source_event_ts = 'theirs' WHERE audit_id = 2`));
    expect((await run(['down', '--json'])).json().cells[0]).to.include({ kept: 1 });
    const refused = await look(['down'], 1);
    expect(expectRefusal(refused, 'COLUMN_HAS_VALUES', 1).message).to.include('1 in source_event_ts');
    expect(refused.stdout + refused.stderr).not.to.include('theirs');
    expectRefusal(await look(['down', '--json'], 1), 'COLUMN_HAS_VALUES', 1);
    await run(['down', '--yes']);
    expect(dump(store)).to.deep.equal(dump(folder.file('v20.db')));
  });

  it('stops at such a value on the way to 0, and says what it has done', async () => {
    const store = copy('v21');
    const { run, look } = on(store);
    asAgentOs(store, (db) => db.exec(`UPDATE task_audits SET source_event_ts = 'theirs' WHERE audit_id = 2`));
    const stopped = await run(['down', '--to', '0'], 1);
    expectRefusal(stopped, 'COLUMN_HAS_VALUES', 1);
    expect(stopped.stdout).to.include(`reverted ${backfillStep}`);
    expect((await look(['executed'])).stdout).to.equal(`${schemaStep}\n`);
  });

  it('lets `up` apply as many or as far as it is told', async () => {
    for (const target of [
      ['--to', schemaStep],
      ['--step', '1'],
    ]) {
      const { run, look } = on(copy('v20'));
      expect((await run(['up', ...target, '--json'])).json().applied).to.deep.equal([schemaStep]);
      expectRefusal(await look(['verify'], 1), 'STEP_NOT_APPLIED', 1);
      expectRefusal(await look(['backfill'], 1), 'STEP_NOT_APPLIED', 1);
      expect((await run(['up', '--json'])).json().applied).to.deep.equal([backfillStep]);
      expect((await look(['up', ...target, '--json'])).json().applied).to.deep.equal([]);
    }
  });
});
