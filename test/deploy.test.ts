import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { startBackfills } from '../src/deploy/background.js';
import { type DeployOptions, migrateOnDeploy } from '../src/deploy/deploy.js';
import type { MigratorEvent } from '../src/migrator/session.js';
import { on, root, runCli, snapshotFiles, useFolder } from './support/cli.js';
import { actualCells, expectedCells } from './support/reference.js';
import { asAgentOs, insertAudits, withGeneratedStore } from './support/stores.js';

const schemaStep = 'v021-1-decision-columns';
const backfillStep = 'v021-2-decision-fields';

const columnsOf = (path: string): unknown[] =>
  asAgentOs(path, (db) => db.prepare(`SELECT name FROM pragma_table_info('task_audits')`).pluck().all());

/** What a deploy of the repository's own project is told. */
const deployed = (path: string): DeployOptions & { readonly path: string } => ({
  folder: root,
  path,
  backup: false,
  batchRows: 20,
});

const filled = (path: string): unknown =>
  asAgentOs(path, (db) => db.prepare('SELECT count(source_event_ts) FROM task_audits').pluck().get());

function expectFilled(path: string): void {
  expect(actualCells(path)).to.deep.equal(expectedCells(path));
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return (thrown as { code?: string } | undefined)?.code ?? String(thrown);
}

describe('a deploy', () => {
  it('does everything before it returns, and nothing the next time', () =>
    withGeneratedStore({ audits: 300 }, async (path) => {
      const first = await migrateOnDeploy(deployed(path));
      expect(first.applied).to.deep.equal([schemaStep, backfillStep]);
      expect(first.left).to.deep.equal([]);
      expectFilled(path);
      const before = snapshotFiles(path);
      const second = await migrateOnDeploy(deployed(path));
      expect([...second.applied, ...second.caughtUp, ...second.verifications]).to.deep.equal([]);
      expect(snapshotFiles(path)).to.deep.equal(before);
    }));

  it('throws what ended it, with its code', () =>
    withGeneratedStore({ audits: 30 }, async (path) => {
      expect(await codeOf(migrateOnDeploy(deployed(`${path}-not`)))).to.equal('STORE_MISSING');
      const stopped = { ...deployed(path), signal: AbortSignal.abort('SIGTERM') };
      expect(await codeOf(migrateOnDeploy(stopped))).to.equal('TERMINATED');
    }));

  it('leaves backfills to the background, which fills, catches up and verifies', () =>
    withGeneratedStore({ audits: 300 }, async (path) => {
      const deploy = await migrateOnDeploy({ ...deployed(path), backfills: 'background' });
      expect(deploy.applied).to.deep.equal([schemaStep]);
      expect(deploy.left).to.deep.equal([backfillStep]);
      expect(columnsOf(path)).to.include('source_event_ts');
      expect(filled(path)).to.equal(0);
      asAgentOs(path, (db) => insertAudits(db, [{}, {}])); // by the application, which runs by now
      const events: MigratorEvent['event'][] = [];
      const backfills = startBackfills({
        ...deployed(path),
        onEvent: ({ event }) => void events.push(event),
      });
      const { applied, left, verifications } = await backfills.done;
      expect(applied).to.deep.equal([backfillStep]);
      expect(left).to.deep.equal([]);
      expect(verifications.map(({ verdict }) => verdict)).not.to.include('fail');
      expect(events).to.include.members(['run_started', 'batch_committed', 'verified']);
      expectFilled(path);
    }));

  it('writes nothing when it leaves again what was left already', () =>
    withGeneratedStore({ audits: 60 }, async (path) => {
      const background = { ...deployed(path), backfills: 'background' } as const;
      await migrateOnDeploy(background);
      const before = snapshotFiles(path);
      const again = await migrateOnDeploy(background);
      expect(again.left).to.deep.equal([backfillStep]);
      expect(again.applied).to.deep.equal([]);
      expect(snapshotFiles(path)).to.deep.equal(before);
    }));

  it('goes on in the background where it was stopped', () =>
    withGeneratedStore({ audits: 2000 }, async (path) => {
      const options = deployed(path);
      const stopped = startBackfills({
        ...options,
        onEvent: ({ event }) => {
          if (event === 'batch_committed') void stopped.stop();
        },
      });
      expect(await codeOf(stopped.done)).to.equal('TERMINATED');
      await stopped.stop(); // once it has ended, at once
      const done = (): number =>
        asAgentOs(path, (db) =>
          Number(db.prepare('SELECT count(*) FROM umzug_backfill_batches').pluck().get()),
        );
      const batches = done();
      expect(batches).to.be.within(1, 69);
      await startBackfills(options).done;
      expect(done()).to.be.above(batches);
      expectFilled(path);
    }));

  it('tells what ended it in the background, with its code and hint', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      const { done } = startBackfills({ ...deployed(path), path: `${path}-not` });
      const thrown = await done.catch((error: unknown) => error);
      expect(thrown).to.include({ name: 'BackfillError', code: 'STORE_MISSING' });
      expect((thrown as { hint: string }).hint).to.match(/\S/);
    }));

  it('refuses a store on which a newer version of the package has worked', () =>
    withGeneratedStore({ audits: 30 }, async (path) => {
      await migrateOnDeploy(deployed(path));
      const setVersion = (version: string): unknown =>
        asAgentOs(path, (db) => db.exec(`UPDATE umzug_backfill_steps SET package_version = '${version}'`));
      setVersion('99.0.0');
      const before = snapshotFiles(path);
      expect(await codeOf(migrateOnDeploy(deployed(path)))).to.equal('PACKAGE_TOO_OLD');
      expect(snapshotFiles(path)).to.deep.equal(before);
      setVersion('0.0.1');
      await migrateOnDeploy(deployed(path));
    }));
});

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
        .and.include(`left to the background: ${backfillStep}`);
      expect(deploy.stdout).not.to.include(`applied ${backfillStep}`);
      await look(['deploy', '--check'], 3);
      const json = (await look(['deploy', '--backfills', 'background', '--json'])).json();
      expect(json).to.deep.include({ command: 'deploy', left: [backfillStep], applied: [] });
      const up = await run(['up', '--strict', '--no-backup', '--json']);
      expect(up.json()).to.deep.include({ applied: [backfillStep], drifts: [], left: [] });
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
      expect(json).to.deep.include({ left: [backfillStep], applied: [], caughtUp: [] });
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
      const { applied, left, verifications } = deploy.json();
      expect(applied).to.deep.equal(['002-require', '003-view']);
      expect(left).to.deep.equal([]);
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
      expect(deploy.json()).to.deep.include({ applied: [], left: ['001-fill'] });
      expect(deploy.json().error.code).to.equal('VERIFICATION_FAILED');
      const views = asAgentOs(store(), (db) =>
        db.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'view'`).all(),
      );
      expect(views).to.deep.equal([]);
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
