import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { expectRefusal, root, runCli, snapshotFiles, useFolder } from '../support/cli.js';
import { on } from '../support/on-store.js';
import { actualCells, expectedCells } from '../support/reference.js';
import { asAgentOs, insertAudits, withGeneratedStore } from '../support/stores.js';

const schemaStep = 'v021-1-decision-columns';
const backfillStep = 'v021-2-decision-fields';

function expectFilled(path: string): void {
  expect(actualCells(path)).to.deep.equal(expectedCells(path));
}

describe('the command deploy', () => {
  const folder = useFolder();

  it('applies the schema, leaves the backfill, and `up` does the rest without a warning', () =>
    withGeneratedStore({ audits: 200 }, async (path) => {
      const { run, look } = on(path);
      expect((await look(['deploy', '--check'], 3)).stdout)
        .to.include(schemaStep)
        .and.include(backfillStep);
      expect((await look(['deploy', '--dry-run'])).stdout).to.include('cells to fill');
      const deploy = await run(['deploy', '--backfills', 'background', '--no-backup']);
      expect(deploy.stdout)
        .to.include(`applied ${schemaStep}`)
        .and.include(`deferred to the background: ${backfillStep}`);
      expect(deploy.stdout).not.to.include(`applied ${backfillStep}`);
      await look(['deploy', '--check'], 3);
      const json = (await look(['deploy', '--backfills', 'background', '--json'])).json();
      expect(json).to.deep.include({ command: 'deploy', deferred: [backfillStep], applied: [] });
      const up = await run(['up', '--strict', '--no-backup', '--json']);
      expect(up.json()).to.deep.include({ applied: [backfillStep], drifts: [], deferred: [] });
      expectFilled(path);
      expect((await look(['deploy', '--check'])).stdout).to.include('Nothing to do');
      expect((await look(['deploy', '--dry-run'])).stdout).to.include('nothing to do');
      expect((await look(['deploy'])).stdout).to.include('Nothing to do');
    }));

  it('leaves a catch-up to the background, too', () =>
    withGeneratedStore({ audits: 100 }, async (path) => {
      const { run, look } = on(path);
      await run(['deploy', '--no-backup']);
      asAgentOs(path, (db) => insertAudits(db, [{}]));
      const json = (await look(['deploy', '--backfills', 'background', '--json'])).json();
      expect(json).to.deep.include({ deferred: [backfillStep], applied: [], caughtUp: [] });
      expect((await run(['deploy', '--json', '--no-backup'])).json().caughtUp).to.deep.equal([backfillStep]);
      expectFilled(path);
    }));

  describe('with a step that requires a backfill', () => {
    const api = JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href);
    let project = '';
    let count = 0;
    const store = (): string => join(project, 'shop.db');
    const write = (name: string, definition: string): void =>
      writeFileSync(
        join(project, 'steps', `${name}.js`),
        `import { defineBackfill, defineSqlStep, firstOf, requireBackfill } from ${api};\nexport default ${definition};`,
      );
    const cli = (...args: readonly string[]) => runCli([...args, '--no-backup'], { cwd: project });
    const isNull = (): unknown =>
      asAgentOs(store(), (db) => db.prepare('SELECT count(*) FROM events WHERE at IS NULL').pluck().get());

    beforeEach(() => {
      count += 1;
      project = folder.file(`project-${count}`);
      mkdirSync(join(project, 'steps'), { recursive: true });
      writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
      writeFileSync(
        join(project, 'umzug-backfill.config.js'),
        `import { defineConfig } from ${api};
        export default defineConfig({ database: { path: 'shop.db' }, steps: ['steps'] });`,
      );
      write(
        '001-fill',
        `defineBackfill({ table: 'events', key: 'id', columns: { at: firstOf('body', ['at'], 'made') } })`,
      );
      new Database(store())
        .exec(`CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT, made TEXT, at TEXT);
          INSERT INTO events (body, made) VALUES ('{"at":"2026-01-20T10:00:00Z"}', '2026-01-21'), (NULL, '2026-01-22')`)
        .close();
    });

    it('runs what was left, verifies it, and only then what builds on it', async () => {
      expect((await cli('deploy', '--backfills', 'background')).code).to.equal(0);
      expect(isNull()).to.equal(2);
      write('002-require', `requireBackfill('001-fill')`);
      write(
        '003-view',
        `defineSqlStep({ up: ['CREATE VIEW late AS SELECT id FROM events WHERE at > made'] })`,
      );
      const deploy = await cli('deploy', '--backfills', 'background', '--json');
      expect(deploy.code, deploy.stderr).to.equal(0);
      const { applied, deferred, verifications } = deploy.json();
      expect(applied).to.deep.equal(['002-require', '003-view']);
      expect(deferred).to.deep.equal([]);
      expect(verifications).to.have.length(1);
      expect(isNull()).to.equal(0);
      const before = snapshotFiles(store());
      expect((await cli('deploy')).stdout).to.include('Nothing to do');
      expect(snapshotFiles(store())).to.deep.equal(before);
    });

    it('stops before what builds on it when the verification fails', async () => {
      const checks = `{ indexes: [{ index: 'no_such_index', query: 'SELECT id FROM events' }] }`;
      write(
        '001-fill',
        `defineBackfill({ table: 'events', key: 'id', columns: { at: firstOf('body', ['at'], 'made') }, checks: ${checks} })`,
      );
      write('002-require', `requireBackfill('001-fill')`);
      write('003-view', `defineSqlStep({ up: ['CREATE VIEW late AS SELECT 1 AS one'] })`);
      const deploy = await cli('deploy', '--backfills', 'background', '--json');
      expect(deploy.code).to.equal(5);
      expect(deploy.json()).to.deep.include({ applied: [], deferred: ['001-fill'] });
      expect(deploy.json().error.code).to.equal('VERIFICATION_FAILED');
      const views = asAgentOs(store(), (db) =>
        db.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'view'`).all(),
      );
      expect(views).to.deep.equal([]);
    });

    it('fires no trigger that nobody has agreed to, though the backfill was begun by an earlier deploy', async () => {
      expect((await cli('deploy', '--backfills', 'background')).code).to.equal(0);
      new Database(store()).exec('CREATE TRIGGER looks AFTER UPDATE ON events BEGIN SELECT 1; END').close();
      write('002-require', `requireBackfill('001-fill')`);
      const before = snapshotFiles(store());
      expectRefusal(await cli('deploy', '--backfills', 'background'), 'TRIGGERS_WOULD_FIRE', 1);
      expect(snapshotFiles(store())).to.deep.equal(before);
      const allowed = await cli('deploy', '--backfills', 'background', '--allow-triggers');
      expect(allowed.code, allowed.stderr).to.equal(0);
      expect(isNull()).to.equal(0);
    });

    for (const [code, table] of [
      ['COLUMN_MISSING', 'CREATE TABLE late (id INTEGER PRIMARY KEY, body TEXT)'],
      ['TRIGGERS_WOULD_FIRE', 'CREATE TABLE late (id INTEGER PRIMARY KEY, body TEXT, at TEXT)'],
    ] as const)
      it(`begins no backfill on the table of a SQL step that it can not fill: ${code}`, async () => {
        const trigger = 'CREATE TRIGGER looks AFTER UPDATE ON late BEGIN SELECT 1; END';
        write('002-table', `defineSqlStep({ up: ${JSON.stringify([table, trigger])} })`);
        write(
          '003-late',
          `defineBackfill({ table: 'late', key: 'id', columns: { at: firstOf('body', ['at'], 'body') } })`,
        );
        const deploy = await cli('deploy', '--backfills', 'background', '--json');
        expect(deploy.code).to.equal(1);
        expect(deploy.json().error.code).to.equal(code);
        const steps = asAgentOs(store(), (db) =>
          db.prepare('SELECT name FROM umzug_backfill_steps ORDER BY name').pluck().all(),
        );
        expect(steps).to.deep.equal(['001-fill', '002-table']);
      });

    it('names what is filled and not verified among what is left', async () => {
      expect((await cli('deploy')).code).to.equal(0);
      asAgentOs(store(), (db) => db.exec(`UPDATE umzug_backfill_runs SET status = 'filled'`));
      write('003-view', `defineSqlStep({ up: ['CREATE VIEW late AS SELECT 1 AS one'] })`);
      const deploy = (await cli('deploy', '--backfills', 'background', '--json')).json();
      expect(deploy).to.deep.include({ applied: ['003-view'], deferred: ['001-fill'], verifications: [] });
    });

    it('is taken back by `down` like any other step', async () => {
      write('002-require', `requireBackfill('001-fill')`);
      expect((await cli('up')).code).to.equal(0);
      const down = await cli('down', '--to', '0', '--json');
      expect(down.json().reverted).to.deep.equal(['002-require', '001-fill']);
      expect(isNull()).to.equal(2);
    });

    for (const [what, file, required] of [
      ['is not there', '002-require', '001-fil'],
      ['comes later', '000-require', '001-fill'],
    ] as const) {
      it(`refuses to require a backfill that ${what}, and writes nothing`, async () => {
        write(file, `requireBackfill('${required}')`);
        const before = snapshotFiles(store());
        const result = await cli('up');
        expect(result.stderr).to.match(/^STEP_INVALID: .*requires/m);
        expect(result.code).to.equal(1);
        expect(snapshotFiles(store())).to.deep.equal(before);
      });
    }
  });
});
