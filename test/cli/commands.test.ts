import { spawnSync } from 'node:child_process';
import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { cleanEnv, expectRefusal, useFolder } from '../support/cli.js';
import { on } from '../support/on-store.js';
import { asAgentOs, insertAudits } from '../support/stores.js';

const schemaStep = 'v021-1-decision-columns';
const backfillStep = 'v021-2-decision-fields';
const columns = ['source_event_ts', 'supervisor_processed_at'];
const checkIds = [
  'coverage',
  'consistency',
  'groups',
  'index-use',
  'timestamps',
  'nulls',
  'lag',
  'integrity',
];

describe('the commands', () => {
  const folder = useFolder();
  let copies = 0;

  before(async () => {
    generateStore({ path: folder.file('v20.db'), audits: 600, rareShare: 0.1 });
    copyFileSync(folder.file('v20.db'), folder.file('v21.db'));
    await on(folder.file('v21.db')).run(['up']);
  });

  function copy(name: 'v20' | 'v21'): string {
    copies += 1;
    const path = folder.file(`copy-${copies}.db`);
    copyFileSync(folder.file(`${name}.db`), path);
    return path;
  }

  it('brings a store from v20 to v21, and says so before, meanwhile and afterwards', async () => {
    const store = copy('v20');
    const { run, look } = on(store);
    const status = await look(['status']);
    expect(status.stdout).to.include(schemaStep).and.include('pending').and.include('umzug-backfill up');
    await look(['status', '--check'], 3);
    expect((await look(['pending'])).stdout).to.equal(`${schemaStep}\n${backfillStep}\n`);
    expect((await look(['executed'])).stdout.trim()).to.equal('');
    const up = await run(['up']);
    expect(up.stdout).to.include(
      `applied ${schemaStep}\napplied ${backfillStep}\nVerification of ${backfillStep}`,
    );
    expect(up.stdout).to.match(/The store grew by .* VACUUM /);
    expect(
      up.stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).event),
    ).to.include.members(['step_started', 'verified']);
    await look(['status', '--check']);
    expect((await look(['pending'])).stdout.trim()).to.equal('');
    expect((await look(['executed'])).stdout).to.equal(`${schemaStep}\n${backfillStep}\n`);
    const again = await look(['up']);
    expect(again.stdout).to.equal('Nothing to do: every step is applied and verified.\n');
    expect(again.stderr).to.equal('');
  });

  it('prints one JSON document, and nothing else on stdout', async () => {
    const store = copy('v20');
    const { run, look } = on(store);
    expect((await look(['pending', '--json'])).json()).to.deep.equal({
      command: 'pending',
      steps: [schemaStep, backfillStep],
    });
    const up = (await run(['up', '--json'])).json();
    expect(up).to.include({ command: 'up' }).and.not.have.property('error');
    expect(up.applied).to.deep.equal([schemaStep, backfillStep]);
    expect(up.size.after.bytes).to.be.greaterThan(up.size.before.bytes);
    const status = (await look(['status', '--json', '--check'])).json();
    expect(status).to.include({ command: 'status', isPending: false });
    expect(status.steps[1]).to.deep.include({ name: backfillStep, kind: 'backfill', state: 'applied' });
    expect(status.steps[1].backfill.cellsFilled).to.be.greaterThan(0);
    expect((await look(['up', '--json'])).json().applied).to.deep.equal([]);
    for (const args of [['executed'], ['verify'], ['verify', '--print-sql'], ['skips'], ['backfill']]) {
      expect((await look([...args, '--json'])).json()).to.include({ command: args[0] });
    }
    for (const args of [['up'], ['down'], ['backfill'], ['backfill', '--rescan']]) {
      const plan = (await look([...args, '--dry-run', '--json'])).json();
      expect(plan).to.include({ command: args[0], dryRun: true });
    }
    const rescan = (await run(['backfill', '--rescan', '--json'])).json();
    expect(rescan).to.deep.include({ command: 'backfill', ran: [backfillStep] });
    const down = (await run(['down', '--json'])).json();
    expect(down).to.deep.include({ command: 'down', reverted: [backfillStep] });
    expect(down.cells[0]).to.include({ backfill: backfillStep, kept: 0 });
  });

  it('tells with --dry-run what `up` would do, and does nothing', async () => {
    const store = copy('v20');
    asAgentOs(store, (db) =>
      db.exec('CREATE TRIGGER audit_touched AFTER UPDATE ON task_audits BEGIN SELECT 1; END'),
    );
    const { run, look } = on(store);
    const plan = (await look(['up', '--dry-run', '--json', '--batch-size', '50'])).json();
    expect(plan.steps.map(({ step }: { step: string }) => step)).to.deep.equal([schemaStep, backfillStep]);
    const [schema, { fill }] = plan.steps;
    expect(schema.statements.map(({ sql }: { sql: string }) => /^\w+ \w+/.exec(sql)?.[0])).to.deep.equal([
      ...['ALTER TABLE', 'ALTER TABLE', 'INSERT INTO'],
      ...['CREATE INDEX', 'CREATE INDEX', 'CREATE INDEX'],
    ]);
    for (const { lockMs } of schema.statements) expect(lockMs).to.be.greaterThan(0);
    const supervisors = asAgentOs(store, (db) =>
      db
        .prepare(`SELECT audit_id FROM task_audits WHERE event_type LIKE '%SUPERVISOR%' ORDER BY 1`)
        .pluck()
        .all(),
    );
    expect(fill).to.include({ kind: 'first', rows: supervisors.length });
    expect(fill.batches).to.equal(Math.ceil(supervisors.length / 50));
    expect(fill.triggers).to.deep.equal(['audit_touched']);
    expect(fill.diskBytes).to.be.greaterThan(0);
    expect(fill.expectedMs).to.be.a('number');
    expect(fill.samples.map(({ key }: { key: string }) => key)).to.deep.equal(
      supervisors.slice(0, 10).map(String),
    );
    for (const { values } of fill.samples) expect(Object.keys(values)).to.deep.equal(columns);
    expect((await look(['up', '--dry-run'])).stdout)
      .to.include('audit_touched')
      .and.include('DOCUMENT_UNREADABLE');

    // What was foretold comes true.
    await run(['up', '--batch-size', '50', '--allow-triggers']);
    const { backfill } = (await look(['status', '--json'])).json().steps[1];
    expect(backfill.batches).to.equal(fill.batches);
    expect(backfill.cellsFilled).to.equal(
      fill.cellsToFill[columns[0] ?? ''] + fill.cellsToFill[columns[1] ?? ''],
    );
    expect(backfill.skips).to.deep.equal(fill.skips);
    const shown = fill.samples.map(({ values }: { values: object }) => Object.values(values));
    const stands = asAgentOs(store, (db) =>
      db
        .prepare(
          `SELECT ${columns} FROM task_audits WHERE event_type LIKE '%SUPERVISOR%' ORDER BY audit_id LIMIT 10`,
        )
        .raw()
        .all(),
    ) as string[][];
    stands.forEach((row, i) => {
      row.forEach((cell, j) => {
        if (!shown[i][j].startsWith('‹')) expect(shown[i][j]).to.equal(cell);
      });
    });
  });

  it('verifies in a table and in JSON, reading only', async () => {
    const { look } = on(copy('v21'));
    const [{ checks, verdict }] = (await look(['verify', '--json'])).json().verifications;
    expect(checks.map(({ id }: { id: string }) => id)).to.deep.equal(checkIds);
    expect(verdict).to.equal('warn'); // the rare payloads hold values that are no timestamps
    const { stdout } = await look(['verify']);
    for (const [i, { title }] of checks.entries()) expect(stdout).to.include(`│ ${i + 1} ${title}`);
    const { hint } = checks.find(({ id }: { id: string }) => id === 'timestamps');
    expect(stdout).to.include(`\n5 Timestamps → ${hint}`); // a warning's, which explains it
    const failed = await look(['verify', '--min-coverage', '99.99'], 5);
    expectRefusal(failed, 'VERIFICATION_FAILED', 5);
    expect(failed.stdout).to.include('fail');
    expectRefusal(await look(['verify', '--min-coverage', '100', '--json'], 5), 'VERIFICATION_FAILED', 5);
    await look(['verify', '--min-coverage', '50']);
  });

  it('prints the checks as SQL that the sqlite3 shell runs', async function () {
    const store = copy('v21');
    const { stdout } = await on(store).look(['verify', '--print-sql']);
    for (let i = 1; i <= 8; i += 1) expect(stdout).to.include(`-- ${i}. `);
    if (spawnSync('sqlite3', ['--version']).error) {
      console.log('      skipped: there is no sqlite3 on the path');
      this.skip();
    }
    const shell = spawnSync('sqlite3', ['-readonly', '-bail', store], {
      input: stdout,
      encoding: 'utf8',
      env: cleanEnv('/'),
    });
    expect(shell.stderr).to.equal('');
    expect(shell.status).to.equal(0);
    expect(shell.stdout).to.match(/USING (COVERING )?INDEX idx_task_audits_decision_lag/);
  });

  it('lists skips with key and reason, and nothing of the payload', async () => {
    const { look } = on(copy('v21'));
    const { stdout } = await look(['skips', backfillStep]);
    expect(stdout).to.include('DOCUMENT_UNREADABLE').and.not.include('source_ts":');
    const [{ skips }] = (await look(['skips', '--json'])).json().backfills;
    expect(skips.length).to.be.greaterThan(0);
    for (const skip of skips) expect(skip).to.have.all.keys('key', 'target', 'reason');
  });

  it('catches up with `backfill` and `up`, and finds reused keys with --rescan', async () => {
    const store = copy('v21');
    const { run, look } = on(store);
    expect((await look(['backfill'])).stdout).to.equal('Nothing to do: no rows pending catch-up.\n');
    const payload = '{"source_ts":"2026-01-20T10:00:00Z","timestamp":"2026-01-20T10:00:01Z"}';
    for (const [args, key] of [
      [['backfill', backfillStep], 1000],
      [['up'], 2000],
    ] as const) {
      asAgentOs(store, (db) => insertAudits(db, [{ key, payload }]));
      await look(['status', '--check'], 3);
      await look(['verify']); // rows that wait are no failure
      await run([...args]);
      await look(['status', '--check']);
    }
    asAgentOs(store, (db) => {
      db.exec(`DELETE FROM task_audits WHERE audit_id = 300`);
      insertAudits(db, [{ key: 300, payload }]);
    });
    const failed = expectRefusal(await look(['verify'], 5), 'VERIFICATION_FAILED', 5);
    // The hint runs as it stands: on the same store.
    expect(failed.hint).to.match(new RegExp(`backfill --db-path \\S+ ${backfillStep} --rescan`));
    expect((await run(['backfill', '--rescan'])).stdout).to.include(`re-ran ${backfillStep}`);
    await look(['verify']);
    const filled = asAgentOs(store, (db) =>
      db.prepare(`SELECT ${columns} FROM task_audits WHERE audit_id IN (300, 1000, 2000)`).raw().all(),
    );
    const cells = ['2026-01-20T10:00:00Z', '2026-01-20T10:00:01Z'];
    expect(filled).to.deep.equal([cells, cells, cells]);
  });

  it('verifies again and again what failed, and says so with its exit code', async () => {
    const store = copy('v21');
    const { run, look } = on(store);
    asAgentOs(store, (db) =>
      db.exec(`UPDATE task_audits SET source_event_ts = NULL WHERE audit_id = (SELECT min(audit_id) FROM task_audits
        WHERE event_type LIKE '%SUPERVISOR%'); DROP INDEX idx_task_audits_event_source_ts`),
    );
    await look(['status', '--check'], 3);
    for (const command of ['up', 'up', 'deploy', 'backfill']) {
      expectRefusal(await run([command], 5), 'VERIFICATION_FAILED', 5);
      await look(['status', '--check'], 3);
      await look(['deploy', '--check'], 3);
    }
    await run(['backfill', '--rescan']);
    await look(['status', '--check']);
    await look(['deploy', '--check']);
  });

  it('fills again what a table that was made anew has lost, and says so', async () => {
    const store = copy('v21');
    const { run, look } = on(store);
    const cells = (): number =>
      asAgentOs(
        store,
        (db) =>
          db
            .prepare('SELECT count(source_event_ts) + count(supervisor_processed_at) FROM task_audits')
            .pluck()
            .get() as number,
      );
    const filled = cells();
    asAgentOs(store, (db) =>
      db.exec('UPDATE task_audits SET source_event_ts = NULL, supervisor_processed_at = NULL'),
    );
    expect((await look(['status'])).stdout).to.include('rows pending catch-up');
    await look(['status', '--check'], 3);
    await look(['deploy', '--check'], 3);
    const { stdout } = await run(['up']);
    expect(stdout).to.include(
      `warning: ${filled.toLocaleString('en')} cells that ${backfillStep} had filled were NULL again, and were filled again.`,
    );
    expect(cells()).to.equal(filled);
    await look(['status', '--check']);
    expect((await look(['down', '--dry-run'])).stdout).to.include(
      `${filled.toLocaleString('en')} cells reverted`,
    );
  });
});
