import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { runCli, useFolder } from '../support/cli.js';
import { each, isLong } from '../support/crash.js';
import { differences } from '../support/expect-same.js';
import { killedAt, pointsOf } from '../support/failpoints.js';
import { expectPgLedger, lasting, wholePgStore } from '../support/postgres-ledger.js';
import { argsOn, runOn, untilAlone, useCopies } from '../support/postgres-runs.js';
import { needServer, type TestDatabase } from '../support/postgres-server.js';
import { actualPgCells } from '../support/postgres-stores.js';
import type { Cells } from '../support/reference.js';
import { schemaStep } from '../support/stores.js';

// SIGKILL at the failpoints of `up` and `down`, then the same command line again. The short form kills at a few of them, spread
// evenly over the command; UMZUG_BACKFILL_CRASH=long at every one.

const SHORT = 5;

type Points = Awaited<ReturnType<typeof pointsOf>>;

/** Numbers of the points that are killed at. */
function chosen(points: Points): number[] {
  const all = points.map((_, i) => i + 1);
  if (isLong) return all;
  const step = (all.length - 1) / (SHORT - 1);
  return [...new Set(Array.from({ length: SHORT }, (_, i) => Math.round(1 + i * step)))];
}

/** In this order each command must be able to be killed there: how a failpoint begins. */
const windows = {
  up: [
    'lock taken',
    'statement INSERT INTO umzug_backfill_steps',
    'statement ALTER TABLE',
    'statement INSERT INTO umzug_backfill_objects',
    'commit',
    'statement INSERT INTO umzug_backfill_objects',
    'commit',
    'statement CREATE INDEX CONCURRENTLY',
    'commit',
    'statement INSERT INTO umzug_backfill_runs',
    'statement INSERT INTO umzug_backfill_ranges',
    'commit',
    'lock shared',
    'statement WITH read_rows',
    'statement UPDATE umzug_backfill_ranges SET cursor',
    'statement INSERT INTO umzug_backfill_batches',
    'statement INSERT INTO umzug_backfill_cells',
    'statement UPDATE umzug_backfill_ranges SET is_done',
    `statement UPDATE umzug_backfill_runs SET status = 'filled'`,
    'commit',
    'lock left',
    'lock taken again',
    'statement UPDATE umzug_backfill_steps SET status',
    'commit',
    'statement INSERT INTO umzug_backfill_verifications',
    'commit',
    'lock released',
  ],
  down: [
    'lock taken',
    'statement WITH compared',
    'statement DELETE FROM umzug_backfill_cells',
    'statement DELETE FROM umzug_backfill_batches',
    'commit',
    'statement DELETE FROM umzug_backfill_runs',
    'commit',
    'statement DROP INDEX CONCURRENTLY',
    'statement DELETE FROM umzug_backfill_objects',
    'commit',
    'statement ALTER TABLE',
    'statement DROP TABLE',
    'commit',
    'lock released',
  ],
} as const;

describe('a command on PostgreSQL that is killed at a failpoint', function () {
  this.timeout(0);
  const folder = useFolder();
  const onCopy = useCopies({ audits: 200, smallSchema: false });
  const onFilled = useCopies({ audits: 200, smallSchema: false, run: ['up', '--batch-size', '40'] });
  type State = Awaited<ReturnType<typeof lasting>>;
  const states: { v20: State; whole: State; cells: Map<string, Cells> } = {
    v20: {},
    whole: {},
    cells: new Map(),
  };
  const points: Record<keyof typeof windows, Points> = { up: [], down: [] };
  const up = (url: string): string[] => argsOn(url, 'up', '--batch-size', '40');
  const down = (url: string): string[] => argsOn(url, 'down', '--to', '0', '--yes');

  before(async function () {
    needServer(this);
    await onCopy(async ({ url, client }) => {
      states.v20 = await wholePgStore(client);
      await runOn(url, 'up', '--to', schemaStep.name);
      states.cells = await actualPgCells(client);
      await runOn(url, 'down', '--yes');
      points.up = await pointsOf(up(url), folder.file('up'));
      states.whole = await lasting(client);
      points.down = await pointsOf(down(url), folder.file('down'));
      expect(differences(await wholePgStore(client), states.v20)).to.deep.equal([]);
    });
  });

  /** Kills a command and insists that what is left is sound. */
  async function kill({ client }: TestDatabase, args: readonly string[], nth: number): Promise<void> {
    await killedAt(args, { nth });
    await untilAlone(client);
    await expectPgLedger(client, states.cells);
  }

  async function again(args: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await runCli(args);
    expect(code, stdout + stderr).to.equal(0);
  }

  async function expectUp({ client }: TestDatabase): Promise<void> {
    expect(differences(await lasting(client), states.whole)).to.deep.equal([]);
    await expectPgLedger(client, states.cells);
  }

  const expectDown = async ({ client }: TestDatabase): Promise<void> => {
    expect(differences(await wholePgStore(client), states.v20)).to.deep.equal([]);
  };

  /** Acts; a failure says where the command was killed. */
  async function labelled(
    command: keyof typeof windows,
    nth: number,
    act: () => Promise<void>,
  ): Promise<void> {
    try {
      await act();
    } catch (error) {
      const { at, detail } = points[command][nth - 1] ?? { at: '', detail: '' };
      if (error instanceof Error)
        error.message = `${command}, point ${nth}, ${at} ${detail.slice(0, 80)}: ${error.message}`;
      throw error;
    }
  }

  for (const command of ['up', 'down'] as const) {
    it(`can be killed in every window that counts: ${command}`, () => {
      let at = -1;
      for (const window of windows[command]) {
        const names = points[command].map((point) => `${point.at} ${point.detail.trim()}`);
        const next = names.findIndex((name, i) => i > at && name.startsWith(window));
        expect(next, `${window} behind ${names[at] ?? 'the start'}`).to.be.above(at);
        at = next;
      }
    });
  }

  it('is mended by running it again: up', async () => {
    await each(chosen(points.up), (nth) =>
      labelled('up', nth, () =>
        onCopy(async (copy) => {
          await kill(copy, up(copy.url), nth);
          await again(up(copy.url));
          await expectUp(copy);
        }),
      ),
    );
    console.log(`    killed at ${chosen(points.up).length} of ${points.up.length} failpoints`);
  });

  it('is taken back exactly without having been finished: up', async () => {
    // Before that `down` has nothing to do, and leaves a ledger that holds no more than the command's row.
    const first = points.up.findIndex(({ detail }) => detail.startsWith('INSERT INTO umzug_backfill_steps'));
    const begun = points.up.findIndex(({ at }, i) => i > first && at === 'commit') + 1;
    const some = chosen(points.up).filter((nth, i) => nth >= begun && (isLong || i % 3 === 1));
    await each(some, (nth) =>
      labelled('up', nth, () =>
        onCopy(async (copy) => {
          await kill(copy, up(copy.url), nth);
          await again(down(copy.url));
          await expectDown(copy);
        }),
      ),
    );
  });

  it('is mended by running it again, or by `up`: down', async () => {
    await each(chosen(points.down), (nth) =>
      labelled('down', nth, () =>
        onFilled(async (copy) => {
          await kill(copy, down(copy.url), nth);
          if (nth % 3 === 0) {
            await again(up(copy.url));
            await expectUp(copy);
          }
          await again(down(copy.url));
          await expectDown(copy);
        }),
      ),
    );
    console.log(`    killed at ${chosen(points.down).length} of ${points.down.length} failpoints`);
  });
});
