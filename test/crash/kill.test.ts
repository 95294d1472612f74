import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { useFolder } from '../support/cli.js';
import {
  copyOf,
  each,
  isLong,
  killAfter,
  killAt,
  killUntilDone,
  mend,
  randomNumbers,
  type Wreck,
  windowOf,
} from '../support/crash.js';
import { makeScenes, type Scene, storeIn } from '../support/crash-scenes.js';
import { interruptedAt } from '../support/failpoints.js';
import { asAgentOs } from '../support/stores.js';
import { windows } from './windows.js';

// SIGKILL wherever a run can be, then the same command line again: nothing may be lost, nothing done twice. The short form kills
// at one failpoint of each kind, the first or the last, in one journal mode, and at a few random instants;
// UMZUG_BACKFILL_CRASH=long at every failpoint in both journal modes and at 200 instants. UMZUG_BACKFILL_SEED repeats the instants of an earlier run, as far as time can be.

const seed = Number(process.env.UMZUG_BACKFILL_SEED ?? randomInt(1_000_000));
const instantsEach = isLong ? 50 : 3;
const commands = ['up', 'down', 'backfill', 'restore'] as const;

const figures = {
  points: new Map<string, number>(),
  kills: 0,
  again: 0,
  instants: 0,
  underWay: 0,
  mended: 0,
  leftover: { 'a hot journal': 0, 'frames in the WAL': 0, nothing: 0 },
};

async function mendAndCount(wreck: Wreck): Promise<void> {
  figures.leftover[wreck.leftover] += 1;
  await mend(wreck);
  figures.mended += 1;
}

type Point = Scene['points'][number];
const nameOf = ({ at, detail }: Point): string => `${at} ${detail.trim()}`;

/** Numbers of the points that are killed at. */
function chosenPoints({ points, mode, variant }: Scene): number[] {
  const all = points.map((_, i) => i + 1);
  if (isLong) return all;
  const kinds = points.map((point) => nameOf(point).split(' ', 3).join(' '));
  // Of each kind either the first or the last: a mode has both sorts, and the other mode has the other kinds.
  const chosen = [...new Set(kinds)].flatMap((kind, i) => {
    const n = 1 + (i % 4 < 2 ? kinds.indexOf(kind) : kinds.lastIndexOf(kind));
    return [{ n, isOwn: (i % 2 === 0) === (mode === 'wal') }];
  });
  // What is special about a variant comes after the lock and the copy of the present store.
  const behind = variant === '' ? 0 : kinds.indexOf('copy done') + 1;
  return chosen.filter(({ n, isOwn }) => isOwn && n > behind).map(({ n }) => n);
}

/** Another program that leaves a WAL with a committed row. */
const WRITES_AND_DIES = `const Database = require('better-sqlite3');
  new Database(process.argv[1]).exec("INSERT INTO schema_version (version) VALUES ('0.20.1')");
  process.kill(process.pid, 'SIGKILL');`;

function report(): void {
  const { points, kills, again, instants, underWay, mended, leftover } = figures;
  const list = [...points].map(([command, count]) => `${command} ${count}`).join(', ');
  console.log(`    failpoints passed: ${list}; killed at ${kills} of them (both journal modes)`);
  console.log(`    killed ever later until it was done: ${again} times`);
  console.log(`    random instants: ${instants}, of which ${underWay} hit a run under way`);
  console.log(
    `    left behind: a hot journal ${leftover['a hot journal']} times, frames in the WAL ${leftover['frames in the WAL']} times`,
  );
  console.log(`    mended by the same command line: ${mended} of ${kills + instants}`);
}

describe('a command killed at a failpoint', function () {
  this.timeout(0);
  const folder = useFolder();
  let scenes: Scene[] = [];
  before(async () => {
    scenes = await makeScenes(folder.path, { audits: 150, batchRows: 30 });
  });

  for (const command of commands) {
    it(`is mended by running it again: ${command}`, async () => {
      const own = scenes.filter((scene) => scene.command === command);
      figures.points.set(command, Math.max(...own.map(({ points }) => points.length)));
      const kills = own.flatMap((scene) => chosenPoints(scene).map((nth) => ({ scene, nth })));
      expect(kills).not.to.deep.equal([]);
      await each(kills, async ({ scene, nth }) => {
        const wreck = await killAt(scene, nth);
        figures.kills += 1;
        await mendAndCount(wreck);
      });
    });

    it(`is not worn out by being killed again and again: ${command}`, async () => {
      const own = scenes.filter((scene) => scene.command === command && scene.variant === '');
      const some = own.filter(
        ({ mode }) => isLong || (mode === 'wal') === (commands.indexOf(command) % 2 === 0),
      );
      expect(some).not.to.deep.equal([]);
      await each(some, async (scene) => {
        figures.again += await killUntilDone(scene, isLong ? 1 : Math.ceil(scene.points.length / 8));
      });
    });

    it(`can be killed in every window that counts: ${command}`, () => {
      for (const { points } of scenes.filter((scene) => scene.command === command && scene.variant === '')) {
        let at = -1;
        for (const window of windows[command]) {
          const next = points.findIndex((point, i) => i > at && nameOf(point).startsWith(window));
          expect(next, `${window} behind ${at < 0 ? 'the start' : nameOf(points[at] as Point)}`).to.be.above(
            at,
          );
          at = next;
        }
      }
    });
  }

  // The connection that keeps others out during the replacement is closed after it, and would remove a WAL by its name.
  it('leaves alone what is written into a restored file right after it has replaced the store', async () => {
    const scene = scenes.find(({ mode, variant }) => mode === 'wal' && variant === 'of another page size');
    const copy = copyOf(scene?.folder ?? '');
    const rival = [process.execPath, '-e', WRITES_AND_DIES, storeIn(copy)];
    const point = { at: 'restore', detail: 'renamed' };
    const result = await interruptedAt(scene?.argsIn(copy) ?? [], point, rival);
    expect(result.code, result.stderr).to.equal(0);
    const versions = asAgentOs(storeIn(copy), (db) =>
      db.prepare('SELECT version FROM schema_version').pluck().all(),
    );
    expect(versions).to.include('0.20.1');
  });
});

describe('a command killed at random instants', function () {
  this.timeout(0);
  const folder = useFolder();
  const random = randomNumbers(seed);
  let scenes: Scene[] = [];
  before(async () => {
    console.log(`    UMZUG_BACKFILL_SEED=${seed}`);
    scenes = await makeScenes(folder.path, { audits: 500, batchRows: 5, isPlain: true });
  });

  for (const command of commands) {
    it(`is mended by running it again: ${command}`, async () => {
      const own = scenes.filter((scene) => scene.command === command && scene.variant === '');
      const durations = new Map<Scene, number>();
      await each(own, async (scene) => void durations.set(scene, await windowOf(scene)));
      const instants = Array.from({ length: instantsEach }, (_, i) => {
        const scene = own[i % own.length] as Scene;
        return { scene, delayMs: Math.round(random() * (durations.get(scene) ?? 0)) };
      });
      // All kills of a handful first: looking at a store keeps this process too busy to kill on time.
      for (let i = 0; i < instants.length; i += 10) {
        const wrecks: Wreck[] = [];
        await each(instants.slice(i, i + 10), async ({ scene, delayMs }) => {
          wrecks.push(await killAfter(scene, delayMs));
        });
        figures.instants += wrecks.length;
        figures.underWay += wrecks.filter(({ wasUnderWay }) => wasUnderWay).length;
        await each(wrecks, mendAndCount);
      }
    });
  }

  after(report);
});
