import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type DeployOptions, type MigratorEvent, migrateOnDeploy, startBackfills } from '../../src/index.js';
import { root, runCommand, snapshotFiles } from '../support/cli.js';
import { useHolders } from '../support/lock.js';
import { actualCells, expectedCells } from '../support/reference.js';
import { asAgentOs, insertAudits, withFolder, withGeneratedStore } from '../support/stores.js';

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
  const startHolder = useHolders();

  it('does everything before it returns, and nothing the next time', () =>
    withGeneratedStore({ audits: 300 }, async (path) => {
      const first = await migrateOnDeploy(deployed(path));
      expect(first.applied).to.deep.equal([schemaStep, backfillStep]);
      expect(first.deferred).to.deep.equal([]);
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
      expect(deploy.deferred).to.deep.equal([backfillStep]);
      expect(columnsOf(path)).to.include('source_event_ts');
      expect(filled(path)).to.equal(0);
      asAgentOs(path, (db) => insertAudits(db, [{}, {}])); // by the application, which runs by now
      const events: MigratorEvent['event'][] = [];
      const backfills = startBackfills({
        ...deployed(path),
        onEvent: ({ event }) => void events.push(event),
      });
      const { applied, deferred, verifications } = await backfills.done;
      expect(applied).to.deep.equal([backfillStep]);
      expect(deferred).to.deep.equal([]);
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
      expect(again.deferred).to.deep.equal([backfillStep]);
      expect(again.applied).to.deep.equal([]);
      expect(snapshotFiles(path)).to.deep.equal(before);
    }));

  it('does not even wait for another run when what is left was left already', () =>
    withGeneratedStore({ audits: 60 }, async (path) => {
      const background = { ...deployed(path), backfills: 'background', lockTimeoutMs: 0 } as const;
      await migrateOnDeploy(background);
      const holder = await startHolder(path);
      expect((await migrateOnDeploy(background)).deferred).to.deep.equal([backfillStep]);
      expect(await codeOf(migrateOnDeploy({ ...background, backfills: 'wait' }))).to.equal('RUN_LOCKED');
      await holder.end();
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

  it('tells its warnings in English, also from the background', () =>
    withGeneratedStore({ audits: 30 }, async (path) => {
      await migrateOnDeploy(deployed(path));
      const cells = filled(path);
      for (const again of [
        () => migrateOnDeploy(deployed(path)),
        () => startBackfills(deployed(path)).done,
      ]) {
        asAgentOs(path, (db) => db.exec('UPDATE task_audits SET source_event_ts = NULL'));
        expect((await again()).warnings).to.deep.equal([
          `${cells} cells that ${backfillStep} had filled were NULL again, and were filled again`,
        ]);
      }
    }));

  it('tells what ended it in the background, with its code and hint', () =>
    withGeneratedStore({ audits: 0 }, async (path) => {
      const { done } = startBackfills({ ...deployed(path), path: `${path}-not`, onEvent: () => undefined });
      const thrown = await done.catch((error: unknown) => error);
      expect(thrown).to.include({ name: 'BackfillError', code: 'STORE_MISSING' });
      expect((thrown as { hint: string }).hint).to.match(/\S/);
    }));

  for (const [what, options, expected] of [
    [
      'is told to onEvent',
      `onEvent: ({ event, code }) => console.log(event, code)`,
      /^background_failed STORE_MISSING\n$/,
    ],
    ['is a warning where there is no onEvent', '', /^$/],
  ] as const)
    it(`fails without ending the application when nobody handles that: it ${what}`, () =>
      withFolder(async (folder) => {
        const script = `
        const { startBackfills } = await import(${JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href)});
        const { done } = startBackfills({
          folder: ${JSON.stringify(root)}, path: ${JSON.stringify(join(folder, 'none.db'))}, ${options}
        });
        // Only what ends by itself ends this: an unhandled rejection would have been told before.
        process.once('beforeExit', () => console.error('goes on'));`;
        const file = join(folder, 'application.mjs');
        writeFileSync(file, script);
        const { code, stdout, stderr } = await runCommand([process.execPath, file]);
        expect(stdout).to.match(expected);
        if (options === '')
          expect(stderr).to.match(/\[STORE_MISSING\] BackfillWarning: There is no store at .*\. \S/);
        expect(stderr).to.match(/goes on\n$/);
        expect(code).to.equal(0);
      }));

  it('is told to onEvent as TERMINATED when it is stopped, and warns of nothing', () =>
    withGeneratedStore({ audits: 300 }, async (path) => {
      const failures: MigratorEvent[] = [];
      const backfills = startBackfills({
        ...deployed(path),
        onEvent: (event) => {
          if (event.event === 'batch_committed') void backfills.stop();
          if (event.event === 'background_failed') failures.push(event);
        },
      });
      await backfills.done.catch(() => undefined);
      expect(failures.map((event) => ({ ...event, message: '', hint: '' }))).to.deep.equal([
        { event: 'background_failed', code: 'TERMINATED', message: '', hint: '' },
      ]);
    }));

  // As better-sqlite3 12 names its addon, and as 13 does.
  for (const addon of ['better_sqlite3.node', 'better-sqlite3/prebuilds/linux-x64.node']) {
    it(`refuses the background where the process has loaded another copy of SQLite, ${addon}`, () =>
      withFolder(async (folder) => {
        const copy = join(folder, addon);
        mkdirSync(dirname(copy), { recursive: true });
        copyFileSync(join(root, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'), copy);
        const script = `
        const { startBackfills } = await import(${JSON.stringify(pathToFileURL(join(root, 'dist/src/index.js')).href)});
        process.dlopen({ exports: {} }, ${JSON.stringify(copy)});
        try { startBackfills({ path: 'none' }); } catch ({ code, message }) { console.log(code, message); }`;
        const { stdout } = await runCommand([process.execPath, '--input-type=module', '-e', script]);
        expect(stdout).to.match(/^SQLITE_LOADED_TWICE /);
        expect(stdout).to.include(copy);
      }));
  }

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
