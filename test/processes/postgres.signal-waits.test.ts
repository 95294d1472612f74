import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type pg from 'pg';
import { type CliResult, expectNoStack, expectRefusal } from '../support/cli.js';
import { differences } from '../support/expect-same.js';
import { expectNoneLeft, logOf, TELLING, timedOut, untilGone, untilLockWait } from '../support/lock-waits.js';
import { LOCKED, pausedAt } from '../support/pause.js';
import { expectPgLedger, lasting } from '../support/postgres-ledger.js';
import {
  argsOn,
  isAlive,
  MANY,
  OURS,
  type Running,
  runOn,
  start,
  untilAlone,
  useCopies,
  V21,
} from '../support/postgres-runs.js';
import {
  column,
  needServer,
  type PostgresServer,
  startServer,
  type TestDatabase,
} from '../support/postgres-server.js';
import { actualPgCells } from '../support/postgres-stores.js';
import type { Cells } from '../support/reference.js';
import { useSilentProxies } from '../support/silent-proxy.js';

// A signal to a command that waits for somebody else: heard in the wait, as what it waits for is still held when it has ended; and what
// the server was asked is withdrawn, so that nobody comes to stand behind a statement that no process waits for any more.

let server: PostgresServer | undefined;

/** A server of its own, whose log tells how statements have ended. */
async function own(): Promise<PostgresServer> {
  server ??= await startServer({ settings: TELLING });
  return server;
}

/** What a shell says of a command that SIGTERM has ended, whether it has told so or not. */
const exitCodeOf = ({ code, signal }: CliResult): number | null => (signal === 'SIGTERM' ? 143 : code);

const TABLE = 'LOCK TABLE task_audits IN ACCESS EXCLUSIVE MODE';
const USE = 'LOCK TABLE task_audits IN ACCESS SHARE MODE';
const ROWS = 'SELECT FROM task_audits FOR UPDATE';

/** A wait: the command, what another transaction holds, and whether it is in a batch, whose end is told. */
interface Wait {
  readonly on: 'v20' | 'v21' | 'filled';
  readonly args: readonly string[];
  readonly begin?: string;
  readonly holds: string;
  readonly isBatch?: boolean;
}

/** A look takes no options of batches. */
function argsOf({ args: [command = '', ...more] }: Wait, url: string): string[] {
  const isLook = command === 'status' || command === 'verify';
  return isLook ? [command, ...more, '--database-url', url] : argsOn(url, command, ...more);
}

const waits: Readonly<Record<string, Wait>> = {
  '`up` waits to make columns': { on: 'v20', args: ['up'], holds: USE },
  // An index that is made beside other work waits for whoever may still see the table as it was.
  '`up` waits to make an index': {
    on: 'v20',
    args: ['up'],
    begin: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
    holds: 'SELECT 1',
  },
  'a batch of `up` waits for rows': { on: 'v21', args: ['up'], holds: ROWS, isBatch: true },
  'batches of two workers wait for rows': {
    on: 'v21',
    args: ['up', '--workers', '2'],
    holds: ROWS,
    isBatch: true,
  },
  'a batch of `down` waits for rows': { on: 'filled', args: ['down'], holds: ROWS, isBatch: true },
  '`down` waits to drop columns': { on: 'v21', args: ['down', '--to', '0', '--yes'], holds: USE },
  '`verify` waits for the table': { on: 'filled', args: ['verify'], holds: TABLE },
  '`status` waits for the table': { on: 'filled', args: ['status'], holds: TABLE },
  '`up --dry-run` waits for the table': { on: 'v21', args: ['up', '--dry-run'], holds: TABLE },
};

describe('a signal to a command that waits', () => {
  const on = {
    v20: useCopies({ ...MANY, server: own }),
    v21: useCopies({ ...MANY, ...V21, server: own }),
    filled: useCopies({ ...MANY, run: ['up', '--pace', 'full'], server: own }),
  };
  const proxy = useSilentProxies();
  let whole: Awaited<ReturnType<typeof lasting>> = {};
  let cells: Map<string, Cells> = new Map();
  before(async function () {
    needServer(this);
    await on.v20(async ({ client }) => {
      cells = await actualPgCells(client);
    });
    await on.filled(async ({ client }) => {
      whole = await lasting(client);
    });
  });
  after(async () => server?.stop());

  /** Insists that nothing was lost: `up` ends as if no signal had come. */
  async function expectResumable({ url, client }: TestDatabase): Promise<void> {
    await runOn(url, 'up');
    expect(differences(await lasting(client), whole)).to.deep.equal([]);
    await expectPgLedger(client, cells);
  }

  async function hold({ connect }: TestDatabase, { holds, begin = 'BEGIN' }: Wait): Promise<pg.Client> {
    const other = await connect();
    await other.query(begin);
    await other.query(holds);
    return other;
  }

  const pids: number[] = [];
  afterEach(() => {
    for (const pid of pids.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL'); // a test has given it up
  });

  /** Waits until a command waits for a lock, and returns the process that leads it. A look logs nothing, but its session has a name. */
  async function waiting({ client }: TestDatabase, running: Running, { isBatch }: Wait): Promise<number> {
    const ended = running.result.then(({ code, stdout, stderr }) =>
      expect.fail(`it has ended with ${code} before it waited for a lock: ${stdout}${stderr}`),
    );
    ended.catch(() => undefined); // afterwards it may
    await Promise.race([untilLockWait(client), ended]);
    const name = `SELECT substring(application_name FROM 'umzug-backfill (\\d+)@') ${OURS}`;
    const pid = isBatch ? await running.pid() : Number((await column(client, name))[0]);
    pids.push(pid);
    return pid;
  }

  function expectStopped(result: CliResult, isBatch = false): void {
    expect(exitCodeOf(result), result.stdout + result.stderr).to.equal(143);
    expectNoStack(result);
    if (!isBatch) return;
    const { message } = expectRefusal(result, 'TERMINATED', 143);
    expect(message).to.match(/^Stopped by SIGTERM .*; every committed batch is kept$/);
  }

  /** Stops a command in its wait, and tells whether it was heard in it: not only when the statement had given up waiting by itself. */
  async function stopsAtOnce(copy: TestDatabase, wait: Wait): Promise<boolean> {
    const running = start(argsOf(wait, copy.url));
    const pid = await waiting(copy, running, wait);
    const logAtSignal = logOf(copy.server);
    process.kill(pid, 'SIGTERM');
    const result = await running.result;
    const logAtEnd = logOf(copy.server);
    expectStopped(result, wait.isBatch);
    await expectNoneLeft(copy, pid, logAtEnd);
    await untilAlone(copy.client);
    return timedOut(logAtEnd.slice(logAtSignal.length), pid).length === 0;
  }

  for (const [what, wait] of Object.entries(waits)) {
    it(`is heard where ${what}, and nothing is left waiting`, () =>
      on[wait.on](async (copy) => {
        const other = await hold(copy, wait);
        let isAtOnce = false;
        // The signal may come in the very moment in which a statement gives up; not in each of three.
        for (let tries = 1; !isAtOnce && tries <= 3; tries += 1) isAtOnce = await stopsAtOnce(copy, wait);
        expect(isAtOnce, 'it was heard before the statement had given up').to.equal(true);
        await other.query('ROLLBACK'); // not before: what it waited for was held all the time
        await expectResumable(copy);
      }));
  }

  it('is heard where the verification at the end of `up` waits for the table, and the next `up` verifies', () =>
    on.v21(async (copy) => {
      const other = await copy.connect();
      let killed: Promise<number> | undefined;
      const result = await pausedAt(argsOn(copy.url, 'up'), { at: 'lock', detail: 'left' }, async (child) => {
        await other.query(`BEGIN; ${TABLE}`);
        killed = untilLockWait(copy.client).then(() => {
          child.kill('SIGTERM');
          return child.pid ?? 0;
        });
        killed.catch(() => undefined); // it is awaited below
      });
      const logAtEnd = logOf(copy.server);
      expectStopped(result);
      await expectNoneLeft(copy, (await killed) ?? 0, logAtEnd);
      await other.query('ROLLBACK');
      await expectResumable(copy);
    }));

  it('is heard where `up` waits for whoever still takes part in its fill', () =>
    on.v21(async (copy) => {
      const other = await copy.connect();
      const result = await pausedAt(argsOn(copy.url, 'up'), { at: 'lock', detail: 'left' }, async (child) => {
        // A share of the run lock, as of a worker: its key is that of the turn, which `up` has now, in the class before.
        await other.query(
          `SELECT pg_advisory_lock_shared((classid::int8 - 1)::int, objid::int8::bit(32)::int) FROM pg_locks WHERE locktype = 'advisory' AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        );
        child.kill('SIGTERM');
      });
      expectStopped(result, true);
      await untilAlone(copy.client);
      await other.end();
      await expectResumable(copy);
    }));

  it('is heard where `up` waits for another run, which goes on', () =>
    on.v20(async (copy) => {
      const first = await pausedAt(argsOn(copy.url, 'up'), LOCKED, async (holder) => {
        const running = start(argsOn(copy.url, 'up'));
        await running.told(`"event":"lock_waiting","pid":${holder.pid},`);
        const pid = await running.pid();
        process.kill(pid, 'SIGTERM');
        expectStopped(await running.result);
        await untilGone(copy.client, pid);
      });
      expect(first.code, first.stdout + first.stderr).to.equal(0);
      expect(differences(await lasting(copy.client), whole)).to.deep.equal([]);
    }));

  it('is heard where `status` waits for a server that has become silent', () =>
    on.filled(async (copy) => {
      const wait = { on: 'filled', args: ['status'], holds: TABLE } as const;
      const other = await hold(copy, wait);
      const way = await proxy(copy.server);
      const running = start(argsOf(wait, way.through(copy.url)));
      const pid = await waiting(copy, running, wait);
      way.silence();
      process.kill(pid, 'SIGTERM');
      expectStopped(await running.result);
      await way.end(); // not before: it was silent all the time
      await other.query('ROLLBACK');
      await untilAlone(copy.client);
      await expectResumable(copy);
    }));
});
