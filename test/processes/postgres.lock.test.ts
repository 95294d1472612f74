import { hostname } from 'node:os';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import type pg from 'pg';
import { type CliResult, expectRefusal, runCli } from '../support/cli.js';
import { differences } from '../support/expect-same.js';
import type { Point } from '../support/failpoints.js';
import { useNewProject } from '../support/new-project.js';
import { ended, pausedAt } from '../support/pause.js';
import { needPgbouncer, startPgbouncer } from '../support/pgbouncer.js';
import { wholePgStore } from '../support/postgres-ledger.js';
import {
  argsOn,
  downOn,
  type Running,
  runOn,
  start,
  untilAlone,
  useCopies,
} from '../support/postgres-runs.js';
import { column, needServer, withClient, withDatabase } from '../support/postgres-server.js';
import { backfillStep } from '../support/stores.js';

// The run lock of a database: an advisory lock of the session, alone for DDL, shared while rows are filled.

/** Where an `up` is when it stands still. */
const places: readonly (readonly [where: string, point: Point])[] = [
  ['begins', { at: 'lock', detail: 'taken' }],
  ['makes indexes', { at: 'statement', detail: 'CREATE INDEX CONCURRENTLY' }],
];
const FILLING: Point = { at: 'statement', detail: 'WITH read_rows', nth: 2 };
const REVERTING: Point = { at: 'statement', detail: 'WITH compared', nth: 2 };
const AT_ONCE = ['--lock-timeout', '0'];

/** Whether the server has a role for whoever reads all tables: 14 and later. */
const hasReaders = async (client: pg.ClientBase): Promise<boolean> =>
  (await column(client, `SELECT 1 FROM pg_roles WHERE rolname = 'pg_read_all_data'`)).length > 0;

describe('the run lock of a database', () => {
  const onCopy = useCopies({ audits: 60 });
  before(function () {
    needServer(this);
  });

  /** Insists that a command was refused since this process holds the lock. */
  function expectLocked(result: CliResult, pid: number | undefined): void {
    const { message, hint } = expectRefusal(result, 'RUN_LOCKED', 4);
    expect(message).to.match(
      new RegExp(`: process ${pid} on ${hostname()}, since 20\\d\\d-\\d\\d-\\d\\dT[\\d:.]+Z$`),
    );
    expect(hint).to.match(/--lock-timeout \d+$/);
  }

  const expectDone = ({ code, stdout, stderr }: CliResult): void =>
    expect(code, stdout + stderr).to.equal(0) as never;

  for (const [where, point] of places) {
    it(`is one process's alone while it ${where}`, () =>
      onCopy(async ({ url, client }) => {
        let waiting: Running | undefined;
        const result = await pausedAt(argsOn(url, 'up'), point, async (child) => {
          for (const command of [['up'], ['deploy']])
            expectLocked(await runCli([...command, '--database-url', url, ...AT_ONCE]), child.pid);
          waiting = start(argsOn(url, 'up'));
          await waiting.told(`"event":"lock_waiting","pid":${child.pid},"host":"${hostname()}"`);
        });
        expectDone(result);
        expectDone((await waiting?.result) as CliResult);
        expect(await column(client, 'SELECT 1 FROM umzug_backfill_verifications')).to.have.length(1);
      }));
  }

  it('makes `down` wait for whoever fills, and refuses it when it is not to wait', () =>
    onCopy(async ({ url, client }) => {
      const v20 = await wholePgStore(client);
      let waiting: Running | undefined;
      const result = await pausedAt(argsOn(url, 'up'), FILLING, async (child) => {
        const args = argsOn(url, 'down', '--to', '0', '--yes');
        expectLocked(await runCli([...args, ...AT_ONCE]), child.pid);
        waiting = start(args);
        await waiting.told('"event":"lock_waiting"');
      });
      expectDone(result);
      expectDone((await waiting?.result) as CliResult);
      expect(differences(await wholePgStore(client), v20)).to.deep.equal([]);
    }));

  it('makes `up` wait for a `down`, and refuses it when it is not to wait', () =>
    onCopy(async ({ url, client }) => {
      await runOn(url, 'up');
      let waiting: Running | undefined;
      const result = await pausedAt(argsOn(url, 'down', '--to', '0', '--yes'), REVERTING, async (child) => {
        expectLocked(await runCli(argsOn(url, 'up', ...AT_ONCE)), child.pid);
        waiting = start(argsOn(url, 'up', '--json'));
        await waiting.told('"event":"lock_waiting"');
      });
      expectDone(result);
      const second = (await waiting?.result) as CliResult;
      expectDone(second);
      expect(second.json().applied, 'it did all of it again').to.have.length(2);
      expect(await column(client, 'SELECT status FROM umzug_backfill_steps')).to.deep.equal([
        'applied',
        'applied',
      ]);
    }));

  for (const [where, point] of [...places.slice(0, 1), ['fills', FILLING] as const]) {
    it(`is free as soon as its holder is killed, while it ${where}`, () =>
      onCopy(async ({ url, client }) => {
        await pausedAt(argsOn(url, 'up'), point, async (child) => {
          const gone = ended(child);
          child.kill('SIGKILL');
          await gone;
          await untilAlone(client);
          expectDone(await runCli(argsOn(url, 'up', ...AT_ONCE)));
        });
      }));
  }

  it('is told of by `status`, whether it is shared or not', () =>
    onCopy(async ({ url, client }) => {
      const status = async (): Promise<CliResult> => runCli(['status', '--database-url', url]);
      expect((await status()).stdout).not.to.include('under way');
      for (const [point, state] of [
        [places[0]?.[1], 'pending'],
        [FILLING, 'applying'],
      ] as const) {
        await pausedAt(argsOn(url, 'up'), point as Point, async (child) => {
          const { code, stdout, stderr } = await status();
          expect(code, stderr).to.equal(0);
          expect(stdout).to.match(
            new RegExp(`^Run in progress: process ${child.pid} on ${hostname()}, since `, 'm'),
          );
          expect(stdout).to.match(new RegExp(`${backfillStep.name} +│ ${state}`));
          const gone = ended(child);
          child.kill('SIGKILL');
          await gone;
        });
        await untilAlone(client);
      }
      expect((await status()).stdout).to.include('No run in progress; the last one was stopped.');
    }));

  it('is told of by commands that need what is being applied', () =>
    onCopy(async ({ url }) => {
      const done = await pausedAt(argsOn(url, 'up'), FILLING, async ({ pid }) => {
        for (const command of [['verify'], ['backfill'], ['backfill', '--dry-run']]) {
          const result = await runCli([...command, '--database-url', url]);
          const { message, hint } = expectRefusal(result, 'STEP_NOT_APPLIED', 1);
          expect(message).to.match(
            new RegExp(
              `^The step ${backfillStep.name} is only partly applied, and a run is in progress: process ${pid} on `,
            ),
          );
          expect(hint).to.match(/^Wait until it has ended, /);
        }
      });
      expectDone(done);
      expectDone(await runCli(['verify', '--database-url', url]));
    }));

  it('is told of to another role, which may not see all that there is of a session', function () {
    return onCopy(async ({ url, client }) => {
      if (!(await hasReaders(client))) this.skip();
      const role = `other_${Math.random().toString(36).slice(2)}`;
      await client.query(`CREATE ROLE ${role} LOGIN; GRANT pg_read_all_data TO ${role}`);
      try {
        await pausedAt(argsOn(url, 'up'), places[0]?.[1] as Point, async (child) => {
          const { stdout, stderr } = await runCli([
            'status',
            '--database-url',
            url.replace('postgres@', `${role}@`),
          ]);
          expect(stdout, stderr).to.include(`Run in progress: process ${child.pid} on ${hostname()}`);
          expect(stdout).not.to.include('null');
        });
      } finally {
        await client.query(`DROP ROLE ${role}`);
      }
    });
  });

  it('names its holder also where the URL has an `application_name` of its own', () =>
    onCopy(async ({ url, client }) => {
      const named = `${url}?application_name=agentos`;
      const result = await pausedAt(argsOn(named, 'up', '--workers', '2'), FILLING, async (child) => {
        expectLocked(await runCli(['down', '--database-url', named, ...AT_ONCE]), child.pid);
        const { stdout } = await runCli(['status', '--database-url', url]);
        expect(stdout).to.include(`Run in progress: process ${child.pid} on ${hostname()}, since 20`);
        const names = await column(
          client,
          `SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE '%umzug-backfill ${child.pid}@%'`,
        );
        expect(names).to.deep.equal([`agentos umzug-backfill ${child.pid}@${hostname()}`.slice(0, 63)]);
      });
      expectDone(result);
    }));

  /** Insists that a `down` is refused at once since this process has not ended, and starts one that waits. */
  async function startWaitingDown(url: string, pid: number | undefined): Promise<Running> {
    const args = argsOn(url, 'down', '--to', '0', '--yes');
    expectLocked(await runCli([...args, ...AT_ONCE]), pid);
    const { stdout } = await runCli(['status', '--database-url', url]);
    expect(stdout).to.include(`Run in progress: process ${pid} on ${hostname()}`);
    const waiting = start(args);
    await waiting.told(`"event":"lock_waiting","pid":${pid},`);
    return waiting;
  }
  const LEFT: Point = { at: 'lock', detail: 'left' };

  for (const [where, point] of [
    ['is between its fill and its verification', LEFT],
    ['is about to verify', { at: 'lock', detail: 'taken again' }],
  ] as const) {
    it(`makes \`down\` wait while an \`up\` ${where}`, () =>
      onCopy(async ({ url, client }) => {
        const v20 = await wholePgStore(client);
        let waiting: Running | undefined;
        const result = await pausedAt(argsOn(url, 'up'), point, async ({ pid }) => {
          waiting = await startWaitingDown(url, pid);
        });
        expectDone(result);
        expectDone((await waiting?.result) as CliResult);
        expect(differences(await wholePgStore(client), v20)).to.deep.equal([]);
      }));
  }

  it('makes `down` wait while two `up`s are between fill and verification, and keeps neither of them waiting for the other', () =>
    onCopy(async ({ url, client }) => {
      const v20 = await wholePgStore(client);
      let waiting: Running | undefined;
      const first = await pausedAt(argsOn(url, 'up'), LEFT, async ({ pid }) => {
        const second = await pausedAt(argsOn(url, 'up'), { at: 'lock', detail: 'taken' }, async (own) => {
          waiting = await startWaitingDown(url, own.pid);
        });
        expectDone(second);
        expectLocked(await runCli(argsOn(url, 'down', '--to', '0', ...AT_ONCE)), pid);
        expect(await column(client, 'SELECT 1 FROM umzug_backfill_verifications')).to.have.length(1);
      });
      expectDone(first);
      expectDone((await waiting?.result) as CliResult);
      expect(differences(await wholePgStore(client), v20)).to.deep.equal([]);
    }));

  it('is not held over a run that is gone from the ledger: `up` stops', () =>
    onCopy(async ({ url, client }) => {
      const result = await pausedAt(argsOn(url, 'up'), LEFT, () =>
        client.query('DELETE FROM umzug_backfill_runs'),
      );
      expectRefusal(result, 'RUN_CONFLICT', 1);
    }));

  it('is one for each schema', () =>
    onCopy(async ({ url, client }) => {
      await client.query(
        'CREATE SCHEMA other; CREATE TABLE other.task_audits (LIKE public.task_audits INCLUDING ALL); CREATE TABLE other.schema_version (LIKE public.schema_version INCLUDING ALL); INSERT INTO other.schema_version SELECT * FROM public.schema_version',
      );
      await pausedAt(argsOn(url, 'up'), places[0]?.[1] as Point, async () => {
        expectDone(await runCli(argsOn(`${url}?options=-csearch_path%3Dother`, 'up', ...AT_ONCE)));
      });
    }));
});

describe('an `up` that has left the run lock behind its fill', () => {
  before(function () {
    needServer(this);
  });
  const project = useNewProject();

  it('passes over the steps that another has applied meanwhile, and ends well', () =>
    withDatabase(async ({ url, client }) => {
      await client.query(
        'CREATE TABLE notes (id int PRIMARY KEY, a text); INSERT INTO notes VALUES (1), (2)',
      );
      project.declare({
        '001-notes': `defineBackfill({ table: 'notes', key: 'id', columns: { a: sql("'x'") } })`,
        '002-b': `defineSchemaStep({ table: 'notes', columns: { b: 'text' }, indexes: {} })`,
        '003-b': `defineBackfill({ table: 'notes', key: 'id', columns: { b: sql("'y'") } })`,
      });
      const args = ['up', '--database-url', url];
      const first = await pausedAt(
        args,
        { at: 'lock', detail: 'left' },
        async () => {
          await project.run(...args);
        },
        { cwd: project.path },
      );
      expect(first.code, first.stdout + first.stderr).to.equal(0);
      expect(first.stdout).to.include('applied 001-notes').and.not.include('applied 002-b');
      expect(await column(client, `SELECT a || b FROM notes`)).to.deep.equal(['xy', 'xy']);
      expect((await project.cli('status', '--check', '--database-url', url)).code).to.equal(0);
    }));
});

describe('a pooler before a database', () => {
  const onCopy = useCopies({ audits: 60 });
  before(function () {
    needServer(this);
    needPgbouncer(this);
  });
  const nameOf = (url: string): string => new URL(url).pathname.slice(1);

  for (const poolMode of ['transaction', 'statement'] as const) {
    it(`is refused in ${poolMode} mode, before anything is written`, () =>
      onCopy(async ({ url, client }) => {
        const before = await wholePgStore(client);
        const pooler = await startPgbouncer(poolMode);
        const through = pooler.url(nameOf(url));
        for (const command of [['up'], ['up', '--workers', '2'], ['down', '--to', '0'], ['status']])
          expectRefusal(await runCli([...command, '--database-url', through]), 'POOLER_UNSUPPORTED', 1);
        expect(differences(await wholePgStore(client), before)).to.deep.equal([]);
        // What another client gets of the pool is a session as it was.
        const settings = await withClient(through, (other) =>
          column(
            other,
            `SELECT name || ' = ' || setting FROM pg_settings WHERE source = 'session' AND name NOT IN ('client_encoding', 'application_name')`,
          ),
        );
        expect(settings, 'settings that are left in a session of the pool').to.deep.equal([]);
        await pooler.stop();
      }));
  }

  it('is used in session mode, also by several workers', () =>
    onCopy(async ({ url, client }) => {
      const before = await wholePgStore(client);
      const pooler = await startPgbouncer('session');
      const through = pooler.url(nameOf(url));
      await runOn(through, 'up', '--workers', '2');
      await downOn(through);
      expect(differences(await wholePgStore(client), before)).to.deep.equal([]);
      await pooler.stop();
    }));
});
