import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { runCli } from '../support/cli.js';
import { isLong, randomNumbers } from '../support/crash.js';
import { differences } from '../support/expect-same.js';
import { expectPgLedger, lasting, wholePgStore } from '../support/postgres-ledger.js';
import {
  argsOn,
  downOn,
  holdBack,
  isAlive,
  LEADING,
  MANY,
  OURS,
  type Running,
  runOn,
  start,
  until,
  untilAlone,
  useCopies,
  V21,
} from '../support/postgres-runs.js';
import { column, needServer, type TestDatabase } from '../support/postgres-server.js';
import { actualPgCells } from '../support/postgres-stores.js';
import type { Cells } from '../support/reference.js';

// Three of four workers that fill one database together are killed, each at a moment of its own: by the number of batches that are
// done by then. Of one command the server ends their sessions. What is left goes on, or the next `up` does. UMZUG_BACKFILL_SEED repeats the moments of an earlier run.

const seed = Number(process.env.UMZUG_BACKFILL_SEED ?? randomInt(1_000_000));
/** Of each of two ways to start them. */
const rounds = isLong ? 10 : 1;

/** Batches of a run that nobody disturbs. */
const BATCHES = 130;

describe('three of four workers killed', function () {
  this.timeout(0);
  const onV20 = useCopies(MANY);
  const onCopy = useCopies({ ...MANY, ...V21 });
  const random = randomNumbers(seed);
  let whole: Awaited<ReturnType<typeof lasting>> = {};
  let v20: Awaited<ReturnType<typeof wholePgStore>> = {};
  let cells: Map<string, Cells> = new Map();

  before(async function () {
    needServer(this);
    console.log(`    UMZUG_BACKFILL_SEED=${seed}`);
    await onV20(async ({ client }) => {
      v20 = await wholePgStore(client);
    });
    await onCopy(async ({ url, client }) => {
      cells = await actualPgCells(client);
      await runOn(url, 'up');
      whole = await lasting(client);
    });
  });

  const batchesIn = async ({ client }: TestDatabase): Promise<number> =>
    (await column(client, 'SELECT 1 FROM umzug_backfill_batches')).length;

  /** Ways to look for a worker, and to end it: a process, or a session in the server. */
  interface Workers {
    readonly isAlive: (pid: number) => Promise<boolean> | boolean;
    readonly kill: (pid: number) => Promise<unknown> | unknown;
  }
  const processes: Workers = { isAlive, kill: (pid) => process.kill(pid, 'SIGKILL') };
  const sessions = ({ client }: TestDatabase): Workers => ({
    isAlive: async (pid) => (await column(client, `SELECT pid ${OURS} AND pid = ${pid}`)).length > 0,
    kill: (pid) => client.query('SELECT pg_terminate_backend($1)', [pid]),
  });

  /** Kills all of these workers but one, in a random order; returns which is left. */
  async function killMost(
    copy: TestDatabase,
    pids: readonly number[],
    { isAlive, kill }: Workers,
  ): Promise<number> {
    const victims = pids.map((pid) => ({ pid, at: random() })).sort((a, b) => a.at - b.at);
    const [survivor] = victims.splice(Math.floor(random() * victims.length), 1);
    const moments = victims.map(() => Math.floor(random() * BATCHES * 0.6)).sort((a, b) => a - b);
    for (const [i, { pid }] of victims.entries()) {
      const moment = moments[i] ?? 0;
      // The others of one command end by themselves when the one that leads them is gone.
      await until(`batch ${moment}`, async () => (await batchesIn(copy)) >= moment || !(await isAlive(pid)));
      if (await isAlive(pid)) await kill(pid);
    }
    return survivor?.pid ?? 0;
  }

  /** Insists that all is as if nobody had been killed, and that it can be taken back. */
  async function expectMended({ url, client }: TestDatabase): Promise<void> {
    expect(differences(await lasting(client), whole)).to.deep.equal([]);
    await expectPgLedger(client, cells);
    const verified = await runCli(['verify', '--database-url', url]);
    expect(verified.code, verified.stdout + verified.stderr).to.equal(0);
    await downOn(url);
    expect(differences(await wholePgStore(client), v20)).to.deep.equal([]);
  }

  for (let i = 1; i <= rounds; i += 1) {
    it(`the next \`up\` mends what the workers of one command have left (${i})`, () =>
      onCopy(async (copy) => {
        const release = await holdBack(copy);
        const running = start(argsOn(copy.url, 'up', '--workers', '4'));
        await release(4);
        const [leader] = (await column(copy.client, LEADING)).map(Number);
        const pids = (await column(copy.client, `SELECT pid ${OURS}`)).map(Number);
        const survivor = await killMost(copy, pids, sessions(copy));
        const { code, stderr } = await running.result;
        await untilAlone(copy.client);
        await expectPgLedger(copy.client, cells);
        // Whoever leads does the rest alone; the others leave it to the next.
        expect(code, stderr).to.equal(survivor === leader ? 0 : 1);
        if (survivor !== leader) {
          expect(stderr).to.match(/^STORE_UNREACHABLE: /m);
          await runOn(copy.url, 'up');
        }
        await expectMended(copy);
      }));

    it(`the fourth of four commands does the rest (${i})`, () =>
      onCopy(async (copy) => {
        const release = await holdBack(copy);
        const running: Running[] = [1, 2, 3, 4].map(() => start(argsOn(copy.url, 'up')));
        const pids = await release(4);
        const commands = await Promise.all(running.map((one) => one.pid()));
        const survivor = await killMost(copy, pids, processes);
        const results = await Promise.all(running.map(({ result }) => result));
        await untilAlone(copy.client);
        await expectPgLedger(copy.client, cells);
        results.forEach(({ code, signal, stderr }, n) => {
          if (commands[n] === survivor) expect(code, stderr).to.equal(0);
          else expect(signal, stderr).to.equal('SIGKILL');
        });
        await expectMended(copy);
      }));
  }
});
