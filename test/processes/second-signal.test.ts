import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { type CliResult, expectRefusal, runCommand, spawnCli } from '../support/cli.js';
import { useConnections } from '../support/connection.js';
import { expectIntact } from '../support/expect-ledger.js';
import { differences, type State } from '../support/expect-same.js';
import type { Point } from '../support/failpoints.js';
import { useHolders } from '../support/lock.js';
import { type Mode, modes, on, useStores } from '../support/on-store.js';
import { ended, pausedAt } from '../support/pause.js';
import { lasting, stateOf } from '../support/store-state.js';
import { asAgentOs } from '../support/stores.js';

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
 * Applies two backfills to the store that is its first argument, and counts who listens to the second signal: before the batches,
 * in them, behind them, in the next ones, where it sends itself the first; once that is heard it counts again, and sends the second.
 */
const LISTENER = `
  const load = (module) => import(process.cwd() + '/dist/src/' + module);
  const [path, first, second] = process.argv.slice(1);
  const count = () => process.stdout.write(process.listenerCount(second) + ' ');
  (async () => {
    const [{ main }, { defineBackfill, defineConfig, sql }] = await Promise.all([load('cli/main.js'), load('index.js')]);
    const step = (name) => ({
      ...defineBackfill({ table: 'rows', key: 'id', columns: { [name]: sql('1') } }),
      name,
      path: name + '.js',
    });
    let batches = 0;
    function onEvent({ event }) {
      if (event === 'step_started' && batches === 0) count();
      if (event !== 'batches_started' && event !== 'batches_finished') return;
      count();
      batches += 1;
      if (batches !== 3) return;
      process.once(first, () => {
        process.stdout.write(process.listenerCount(second) + ' ' + process.listenerCount(first));
        process.kill(process.pid, second);
      });
      process.kill(process.pid, first);
    }
    const config = defineConfig({ database: { path }, steps: ['steps'] });
    const loadMigrator = async () => ({ project: { config, steps: [step('one'), step('two')] }, path, batchRows: 1, onEvent });
    const { stdout, stderr } = process;
    const context = { env: {}, folder: process.cwd(), stdout, stderr, embedding: { program: 'listener', loadMigrator } };
    await main(['up', '--no-backup', '--log-level', 'silent', '--db-path', path], context);
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
    const pairs = [
      ['SIGINT', 'SIGINT'],
      ['SIGTERM', 'SIGINT'],
      ['SIGINT', 'SIGTERM'],
    ] as const;
    await Promise.all(
      pairs.map(async ([first, second]) => {
        const store = copy('wal');
        asAgentOs(store, (db) =>
          db.exec(`CREATE TABLE rows (id INTEGER PRIMARY KEY, one, two);
            INSERT INTO rows (id) VALUES (1), (2), (3)`),
        );
        const command = [process.execPath, '-e', LISTENER, store, first, second];
        const { signal, stdout, stderr } = await runCommand(command);
        expect({ signal, stdout }, stderr).to.deep.equal({ signal: second, stdout: '0 1 0 1 0 0' });
      }),
    );
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
