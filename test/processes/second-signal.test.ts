import { type ChildProcess, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import {
  type CliResult,
  expectRefusal,
  type Mode,
  modes,
  on,
  root,
  spawnCli,
  useStores,
} from '../support/cli.js';
import { useConnections } from '../support/connection.js';
import { expectIntact } from '../support/expect-ledger.js';
import type { Point } from '../support/failpoints.js';
import { useHolders } from '../support/lock.js';
import { ended, pausedAt } from '../support/pause.js';
import { differences, lasting, type State, stateOf } from '../support/store-state.js';

const upOn = (store: string): readonly string[] => [
  ...['up', '--db-path', store, '--batch-size', '10', '--log-level', 'debug'],
];

/** Sends the signal when the log tells of the event for the first time. */
const onEvent = (event: string, signal: NodeJS.Signals) => {
  let isSent = false;
  return (text: string, child: ChildProcess): void => {
    if (isSent || !text.includes(`"event":"${event}"`)) return;
    isSent = child.kill(signal);
  };
};

/**
 * Counts who listens to the second signal: before the batches, in them, behind them, in the next ones, when the first has come;
 * then sends itself the second.
 */
const LISTENER = `
  const { once } = require('node:events');
  const [first, second] = process.argv.slice(1);
  const count = () => process.stdout.write(process.listenerCount(second) + ' ');
  (async () => {
    const { makeCli } = await import(process.cwd() + '/dist/src/cli/cli.js');
    const cli = makeCli({ env: {}, folder: process.cwd(), stdout: process.stdout, stderr: process.stderr }, { exit() {}, takeOver() {} }, []);
    await cli.run({ logLevel: 'silent', dbPath: '/no/store' }, async ({ onEvent, signal }) => {
      setTimeout(() => process.exit(1), 20000); // nothing else keeps the process alive
      count();
      for (const event of ['batches_started', 'batches_ended', 'batches_started']) {
        onEvent({ event });
        count();
      }
      process.kill(process.pid, first);
      await once(signal, 'abort');
      process.stdout.write(process.listenerCount(second) + ' ' + signal.reason + ' ' + process.listenerCount(first));
      process.kill(process.pid, second);
      await new Promise(() => {});
    });
  })();`;

describe('a signal', () => {
  const copy = useStores();
  const startHolder = useHolders();
  const connect = useConnections();
  const whole: Partial<Record<Mode, State>> = {};

  before(async () => {
    for (const mode of modes) {
      const store = copy(mode);
      await on(store).run(['up', '--batch-size', '10']);
      whole[mode] = stateOf(store);
    }
  });

  /** Insists that the same command goes on to the end that it would have had without a signal. */
  async function expectResumable(store: string, mode: Mode = 'wal'): Promise<void> {
    expectIntact(store);
    await on(store).run(['up', '--batch-size', '10', '--lock-timeout', '0']);
    expect(differences(lasting(stateOf(store)), lasting(whole[mode] ?? {}))).to.deep.equal([]);
  }

  for (const [first, second] of [
    ['SIGINT', 'SIGINT'],
    ['SIGTERM', 'SIGINT'],
    ['SIGINT', 'SIGTERM'],
  ] as const) {
    it(`ends the process at once as the second, and nothing is lost by it: ${first}, then ${second}`, async () => {
      const store = copy('wal');
      // Stopped by the first it gives back the lock, and stands still there: the second does not wait for it.
      const point: Point = { at: 'lock', detail: 'released' };
      const kill = async (child: ChildProcess): Promise<void> => {
        const gone = ended(child);
        child.kill(second);
        await gone;
      };
      const killed = await pausedAt(upOn(store), point, kill, {
        onStderr: onEvent('batch_committed', first),
      });
      expect(killed.signal, killed.stderr).to.equal(second);
      expect(killed.stdout).to.equal('');
      const { steps } = (await on(store).look(['status', '--json'])).json();
      expect(steps[1].state).to.equal('applying');
      expect(steps[1].backfill.batches).to.be.above(0);
      await expectResumable(store);
    });
  }

  it('is listened to in the batches alone, and only until the first has come', async () => {
    for (const [first, second] of [
      ['SIGINT', 'SIGINT'],
      ['SIGTERM', 'SIGINT'],
      ['SIGINT', 'SIGTERM'],
    ] as const) {
      const [file, ...args] = [process.execPath, '-e', LISTENER, first, second] as const;
      const { signal, stdout, stderr } = spawnSync(file, args, { cwd: root, encoding: 'utf8' });
      expect({ signal, stdout }, stderr).to.deep.equal({ signal: second, stdout: `0 1 0 1 0 ${first} 0` });
    }
  });

  for (const mode of modes) {
    it(`is heard while another program keeps the store locked (${mode})`, async () => {
      const store = copy(mode);
      const other = await connect(store);
      const lock = () => other.run('BEGIN IMMEDIATE');
      const stopped = await pausedAt(upOn(store), { at: 'commit', nth: 12 }, lock, {
        onStderr: onEvent('store_busy', 'SIGINT'),
      });
      await other.end(); // not before: the command did not get the lock
      const { message } = expectRefusal(stopped, 'INTERRUPTED', 130);
      const { cursor, watermark } = (await on(store).look(['status', '--json'])).json().steps[1].backfill;
      expect(message).to.include(` at key ${cursor} of ${watermark};`);
      await expectResumable(store, mode);
    });
  }

  it('ends a command at once that waits for another run', async () => {
    const store = copy('wal');
    const holder = await startHolder(store);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const killed = await spawnCli(upOn(store), { onStderr: onEvent('lock_waiting', signal) });
      expect(killed.signal, killed.stderr).to.equal(signal);
    }
    await holder.end();
    await expectResumable(store);
  });

  for (const point of [
    { at: 'copy', detail: 'begun' },
    { at: 'copy', detail: 'synced' },
    { at: 'statement', detail: 'CREATE INDEX' },
  ]) {
    it(`ends a command at once outside of its batches: ${point.at} ${point.detail}`, async () => {
      const store = copy('wal');
      let isGone = false;
      const killed: CliResult = await pausedAt(upOn(store), point, async (child) => {
        const gone = ended(child);
        child.kill('SIGTERM');
        await gone;
        isGone = true;
      });
      expect(isGone).to.equal(true);
      expect(killed.signal, killed.stderr).to.equal('SIGTERM');
      await expectResumable(store);
      const copies = readdirSync(dirname(store)).filter((name) => /backup/.test(name));
      expect(copies, 'backups').to.have.length(1);
    });
  }
});
