import { copyFileSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { expectRefusal, type SpawnOptions, spawnCli, useFolder } from '../support/cli.js';
import { on } from '../support/on-store.js';
import { dumpTable } from '../support/stores.js';

describe('a signal between two batches', () => {
  const folder = useFolder();
  const store = () => folder.file('store.db');
  const signals = [
    ['SIGTERM', 'TERMINATED', 143],
    ['SIGINT', 'INTERRUPTED', 130],
  ] as const;

  /** Sends `signal` as soon as the log tells of the first batch. */
  const interruptedBy = (signal: NodeJS.Signals, event: string): SpawnOptions => {
    let isSent = false;
    return {
      onStderr: (text, child) => {
        if (isSent || !text.includes(`"event":"${event}"`)) return;
        isSent = child.kill(signal);
      },
    };
  };
  const talkative = ['--batch-size', '50', '--log-level', 'debug'];

  before(async () => {
    generateStore({ path: folder.file('v20.db'), audits: 20_000, supervisorShare: 0.9 });
    copyFileSync(folder.file('v20.db'), folder.file('whole.db'));
    await on(folder.file('whole.db')).run(['up']);
  });

  for (const [signal, code, exitCode] of signals) {
    it(`ends \`up\` with ${exitCode} on ${signal}, keeps what is committed, and is resumed by the same command`, async () => {
      copyFileSync(folder.file('v20.db'), store());
      const { run, look } = on(store());
      const args = ['up', '--db-path', store(), ...talkative];
      const stopped = await spawnCli(args, interruptedBy(signal, 'batch_committed'));
      expect(stopped.signal).to.equal(null);
      const { message, hint } = expectRefusal(stopped, code, exitCode);
      expect(hint).to.match(/same command again.*resumes/);
      const { steps } = (await look(['status', '--json'])).json();
      expect(steps[1].state).to.equal('applying');
      const { batches, cursor, watermark } = steps[1].backfill;
      expect(batches).to.be.greaterThan(0);
      expect(Number(cursor)).to.be.lessThan(Number(watermark));
      expect(message)
        .to.include(`Stopped by ${signal} `)
        .and.to.include(` at key ${cursor} of ${watermark};`);
      await look(['status', '--check'], 3);

      const again = await spawnCli([...args, '--json'], interruptedBy(signal, 'batch_committed'));
      expectRefusal(again, code, exitCode);
      expect(again.json()).to.include({ command: 'up' });
      expect((await run(['up', '--json'])).json().verifications[0].verdict).not.to.equal('fail');
      await look(['status', '--check']);
      expect(dumpTable(store())).to.deep.equal(dumpTable(folder.file('whole.db')));
    });
  }

  it('ends `down` as well, which is then resumed', async () => {
    copyFileSync(folder.file('v20.db'), store());
    const { run } = on(store());
    await run(['up', '--batch-size', '50']);
    const stopped = await spawnCli(
      ['down', '--db-path', store(), '--log-level', 'debug'],
      interruptedBy('SIGTERM', 'batch_reverted'),
    );
    expectRefusal(stopped, 'TERMINATED', 143);
    await run(['down', '--to', '0']);
    expect(dumpTable(store())).to.deep.equal(dumpTable(folder.file('v20.db')));
  });
});
