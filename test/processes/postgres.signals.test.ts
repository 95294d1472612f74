import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import { afterEach, before, describe, it } from 'mocha';
import { type CliResult, expectRefusal, spawnCli } from '../support/cli.js';
import { differences } from '../support/expect-same.js';
import { untilLockWait } from '../support/lock-waits.js';
import { expectPgLedger, lasting, wholePgStore } from '../support/postgres-ledger.js';
import {
  argsOn,
  holdBack,
  isAlive,
  MANY,
  runOn,
  start,
  until,
  untilAlone,
  untilFound,
  useCopies,
  V21,
} from '../support/postgres-runs.js';
import { column, needServer, type TestDatabase } from '../support/postgres-server.js';
import { actualPgCells } from '../support/postgres-stores.js';
import type { Cells } from '../support/reference.js';
import { useSilentProxies } from '../support/silent-proxy.js';

// A signal between two batches waits for the commit; what is committed is kept, and the next run goes on behind it.

const signals = [
  ['SIGTERM', 'TERMINATED', 143],
  ['SIGINT', 'INTERRUPTED', 130],
] as const;

/** How long it may take from the signal to the end; nothing waits for that long, a busy machine aside. */
const SOON_MS = 2000;

/** Batches so small that there are many, and none is the last when the signal comes. */
const SMALL = ['--batch-size', '4'];

describe('a signal to a run on PostgreSQL', () => {
  const onCopy = useCopies({ ...MANY, ...V21 });
  let whole: Awaited<ReturnType<typeof lasting>> = {};
  let cells: Map<string, Cells> = new Map();

  before(async function () {
    needServer(this);
    await onCopy(async ({ url, client }) => {
      cells = await actualPgCells(client);
      await runOn(url, 'up');
      whole = await lasting(client);
    });
  });

  const proxy = useSilentProxies();
  const pids: number[] = [];
  afterEach(() => {
    for (const pid of pids.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGKILL'); // a test has given it up
  });

  const countBatches = async ({ client }: TestDatabase): Promise<number> =>
    (await column(client, 'SELECT 1 FROM umzug_backfill_batches')).length;

  /** Waits for some batches, sends the signal, and insists that all ends soon; returns the result. */
  async function stop(
    copy: TestDatabase,
    running: ReturnType<typeof start>,
    signal: NodeJS.Signals,
  ): Promise<CliResult> {
    await running.told('"event":"batch_committed"');
    await untilFound(copy.client, 'SELECT 1 FROM umzug_backfill_batches OFFSET 20');
    const sentAt = performance.now();
    process.kill(await running.pid(), signal);
    const result = await running.result;
    expect(performance.now() - sentAt, 'milliseconds until it has ended').to.be.below(SOON_MS);
    return result;
  }

  async function expectResumed(copy: TestDatabase): Promise<void> {
    await untilAlone(copy.client);
    await expectPgLedger(copy.client, cells);
    const kept = await countBatches(copy);
    expect(kept).to.be.within(20, 240);
    await runOn(copy.url, 'up');
    expect(differences(await lasting(copy.client), whole)).to.deep.equal([]);
    await expectPgLedger(copy.client, cells);
  }

  for (const [signal, code, exitCode] of signals) {
    it(`stops \`up\` between two batches, which are kept: ${signal}`, () =>
      onCopy(async (copy) => {
        const running = start(argsOn(copy.url, 'up', ...SMALL));
        const result = await stop(copy, running, signal);
        const { message } = expectRefusal(result, code, exitCode);
        expect(message).to.match(new RegExp(`^Stopped by ${signal} .*; every committed batch is kept$`));
        if (signal === 'SIGTERM') await expectResumed(copy);
      }));

    it(`stops all workers of a run, and it resumes: ${signal}`, () =>
      onCopy(async (copy) => {
        const release = await holdBack(copy);
        const running = start(argsOn(copy.url, 'up', '--workers', '3', ...SMALL));
        await release(3);
        const result = await stop(copy, running, signal);
        expectRefusal(result, code, exitCode);
        await expectResumed(copy);
      }));
  }

  it('stops `down` between two batches, and it resumes', () =>
    onCopy(async (copy) => {
      const v21 = await wholePgStore(copy.client);
      await runOn(copy.url, 'up');
      const running = start(argsOn(copy.url, 'down'));
      await until('some batches to be taken back', async () => (await countBatches(copy)) < 100);
      process.kill(await running.pid(), 'SIGTERM');
      expectRefusal(await running.result, 'TERMINATED', 143);
      await untilAlone(copy.client);
      await expectPgLedger(copy.client, cells);
      expect(await countBatches(copy)).to.be.within(1, 100);
      await runOn(copy.url, 'down');
      const now = await wholePgStore(copy.client);
      const others = ({ umzug_backfill_commands: _, ...rest }: typeof now) => rest;
      expect(differences(others(now), others(v21))).to.deep.equal([]);
    }));

  it('stops one of several commands, and the others do the rest', () =>
    onCopy(async (copy) => {
      const release = await holdBack(copy);
      const running = [1, 2, 3].map(() => start(argsOn(copy.url, 'up', ...SMALL)));
      await release(3);
      const [first, ...others] = running;
      if (first) expectRefusal(await stop(copy, first, 'SIGTERM'), 'TERMINATED', 143);
      for (const { result } of others) {
        const { code, stdout, stderr } = await result;
        expect(code, stdout + stderr).to.equal(0);
      }
      expect(differences(await lasting(copy.client), whole)).to.deep.equal([]);
      await expectPgLedger(copy.client, cells);
    }));

  it('ends a run at once in which a batch waits for another program, and takes nothing of it', () =>
    onCopy(async (copy) => {
      await holdBack(copy); // never released
      const running = start(argsOn(copy.url, 'up', '--workers', '2'));
      await running.told('"event":"store_busy"');
      const sentAt = performance.now();
      process.kill(await running.pid(), 'SIGTERM');
      expectRefusal(await running.result, 'TERMINATED', 143);
      // A statement waits for a second at most, and then it is seen.
      expect(performance.now() - sentAt).to.be.below(SOON_MS + 1000);
      await untilAlone(copy.client);
      expect(await countBatches(copy)).to.equal(0);
    }));

  it('ends at once a command that waits for a silent server to let it in', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const url = `postgres://nobody@127.0.0.1:${port}/nothing?connect_timeout=0`;
    let isAsked = false;
    silent.once('connection', () => {
      isAsked = true;
    });
    const command: { child?: ChildProcess } = {};
    const running = spawnCli(['up', '--database-url', url, '--log-level', 'debug'], {
      prefix: ['sh', '-c', 'echo begun >&2; exec "$0" "$@"'],
      onStderr: (_, child) => {
        command.child = child;
      },
    });
    await until('the server to be asked', () => isAsked);
    command.child?.kill('SIGTERM');
    expectRefusal(await running, 'TERMINATED', 143);
    silent.close();
  });

  it('ends a command that waits for a server that has become silent', () =>
    onCopy(async (copy) => {
      const release = await holdBack(copy);
      const way = await proxy(copy.server);
      const running = start(argsOn(way.through(copy.url), 'up'));
      await running.told('"event":"batches_started"');
      const pid = await running.pid();
      pids.push(pid);
      await untilLockWait(copy.client);
      way.silence();
      process.kill(pid, 'SIGTERM');
      expectRefusal(await running.result, 'TERMINATED', 143);
      await way.end(); // not before: it was silent all the time
      await release(0);
      await untilAlone(copy.client);
      await runOn(copy.url, 'up');
      expect(differences(await lasting(copy.client), whole)).to.deep.equal([]);
      await expectPgLedger(copy.client, cells);
    }));

  it('ends all workers of a command that is killed, and leaves the rest to the next', () =>
    onCopy(async (copy) => {
      const release = await holdBack(copy);
      const running = start(argsOn(copy.url, 'up', '--workers', '3', ...SMALL));
      expect(await release(3), 'processes').to.deep.equal([await running.pid()]);
      process.kill(await running.pid(), 'SIGKILL');
      const { signal } = await running.result;
      expect(signal).to.equal('SIGKILL');
      await untilAlone(copy.client);
      const open = await column(copy.client, 'SELECT 1 FROM umzug_backfill_ranges WHERE is_done = 0');
      expect(open.length, 'ranges that are left to the next `up`').to.be.above(0);
      await expectPgLedger(copy.client, cells);
      const { stdout } = await spawnCli(['status', '--database-url', copy.url]);
      expect(stdout).not.to.include('Run in progress');
    }));
});
