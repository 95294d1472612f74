import { readlinkSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { spawnCli } from '../support/cli.js';
import { useConnections } from '../support/connection.js';
import { codeOf, up } from '../support/migrate.js';
import { change, query, schemaStep, withGeneratedStore } from '../support/stores.js';

// Pauses of a run on a file, by what other processes do with it.

/** A store that takes far longer to fill than a run works between two pauses, and far longer than 10 ms to index. */
const withLargeStore = (act: (path: string) => Promise<void>): Promise<void> =>
  withGeneratedStore({ audits: 100_000 }, act);

/** The options of a run in this process as the command line has them by default. */
const paced = { backup: false, pace: 'courteous', batchRows: 5000 } as const;

/** Runs `up` of the command line; returns how often it paused. */
async function pausesOf(path: string, ...more: readonly string[]): Promise<number> {
  const { code, stderr } = await spawnCli([
    'up',
    '--no-backup',
    '--log-level',
    'debug',
    '--db-path',
    path,
    ...more,
  ]);
  expect(code, stderr).to.equal(0);
  return stderr.match(/"event":"throttled"/g)?.length ?? 0;
}

describe('the pauses of a run', () => {
  const connect = useConnections();

  describe('where the system tells which processes have the store open', () => {
    before(function () {
      // In a container, locks of processes outside are hidden.
      const isTold = process.platform === 'linux' && readlinkSync('/proc/self/ns/pid') === 'pid:[4026531836]';
      if (!isTold) this.skip();
    });

    it('are none while no other process has it open', () =>
      withLargeStore(async (path) => {
        expect(await pausesOf(path)).to.equal(0);
      }));
  });

  it('are made for another process that has it open, though it does not write', () =>
    withLargeStore(async (path) => {
      const other = await connect(path);
      await other.run('SELECT count(*) FROM schema_version');
      expect(await pausesOf(path)).to.be.above(0);
    }));

  it('are made in rollback mode, where nobody can tell', () =>
    withLargeStore(async (path) => {
      change(path, 'PRAGMA journal_mode = delete');
      expect(await pausesOf(path)).to.be.above(0);
    }));

  it('are made in a process that may have other connections', () =>
    withLargeStore(async (path) => {
      let pauses = 0;
      const onEvent = ({ event }: { readonly event: string }): void => {
        if (event === 'throttled') pauses += 1;
      };
      expect(codeOf(await up(path, { ...paced, onEvent }))).to.equal(undefined);
      expect(pauses).to.be.above(0);
    }));

  it('let a waiting writer in between two indexes', () =>
    withLargeStore(async (path) => {
      change(path, 'CREATE TABLE seen (indexes INTEGER PRIMARY KEY)');
      const names = schemaStep.indexes.map(({ name }) => `'${name}'`).join(', ');
      const writer = await connect(path);
      await writer.repeat(
        `INSERT OR IGNORE INTO seen SELECT count(*) FROM sqlite_schema WHERE name IN (${names})`,
        1,
      );
      expect(codeOf(await up(path, paced, { to: schemaStep.name }))).to.equal(undefined);
      await writer.end();
      expect(query<number>(path, 'SELECT indexes FROM seen')).to.include.members([0, 1, 2]);
    }));
});
