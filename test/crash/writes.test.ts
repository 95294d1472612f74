import { randomInt } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { spawnCli, useFolder } from '../support/cli.js';
import { copyOf, each, isLong, leftoverIn, mend, randomNumbers, type Wreck } from '../support/crash.js';
import { makeScenes, type Scene, storeIn } from '../support/crash-scenes.js';
import { straceTrouble } from '../support/forms.js';

// A failpoint is passed between two statements, when SQLite has written nothing yet or everything. Here the system ends the process
// as it writes a page of the store or of its WAL: in the middle of a commit, of a checkpoint, of a restore.

const seed = Number(process.env.UMZUG_BACKFILL_SEED ?? randomInt(1_000_000));
const killsEach = isLong ? 25 : 1;

/** Begins a command under strace, which minds its writes to the store alone. */
const traced = (folder: string, options: readonly string[]): string[] => [
  ...['strace', '-f', '-qq', '-P', storeIn(folder), '-P', `${storeIn(folder)}-wal`],
  ...['-e', 'trace=pwrite64', ...options],
];

/** How often the command writes. */
async function countWrites(scene: Scene): Promise<number> {
  const folder = copyOf(scene.folder);
  const log = `${folder}-writes`;
  const result = await spawnCli(scene.argsIn(folder), { prefix: traced(folder, ['-o', log]) });
  expect(result.code, result.stderr).to.equal(0);
  rmSync(folder, { recursive: true });
  return readFileSync(log, 'utf8').trimEnd().split('\n').length;
}

/** Kills the command as it writes for the nth time; sooner where it writes less often this time, in fewer batches, than when that was counted. */
async function killInWrite(scene: Scene, nth: number): Promise<Wreck> {
  const folder = copyOf(scene.folder);
  const inject = ['-o', '/dev/null', '-e', `inject=pwrite64:signal=SIGKILL:when=${nth}`];
  const { signal, code, stderr } = await spawnCli(scene.argsIn(folder), { prefix: traced(folder, inject) });
  if (code === 0 && nth > 1) {
    rmSync(folder, { recursive: true });
    return await killInWrite(scene, Math.floor(nth / 2));
  }
  expect(signal ?? code, stderr).to.equal('SIGKILL');
  return { scene, folder, moment: `write ${nth}`, wasUnderWay: true, leftover: leftoverIn(folder) };
}

describe('a command killed as it writes', function () {
  this.timeout(0);
  const folder = useFolder();
  const random = randomNumbers(seed);
  const figures = { writes: 0, kills: 0, hot: 0, mended: 0 };
  let scenes: Scene[] = [];
  before(async function () {
    const trouble = straceTrouble();
    if (trouble !== undefined) {
      console.log(`    skipped: ${trouble}`);
      this.skip();
    }
    scenes = await makeScenes(folder.path, { audits: 150, batchRows: 30, isPlain: true });
  });

  for (const command of ['up', 'down', 'backfill', 'restore'] as const) {
    it(`is mended by running it again: ${command}`, async () => {
      const kills: { scene: Scene; nth: number }[] = [];
      for (const scene of scenes.filter((one) => one.command === command)) {
        const writes = await countWrites(scene);
        figures.writes += writes;
        for (let i = 0; i < killsEach; i += 1) kills.push({ scene, nth: 1 + Math.floor(random() * writes) });
      }
      await each(kills, async ({ scene, nth }) => {
        const wreck = await killInWrite(scene, nth);
        figures.kills += 1;
        if (wreck.leftover === 'a hot journal') figures.hot += 1;
        await mend(wreck);
        figures.mended += 1;
      });
    });
  }

  after(() => {
    const { writes, kills, hot, mended } = figures;
    console.log(`    UMZUG_BACKFILL_SEED=${seed}`);
    console.log(`    writes: ${writes}, killed in ${kills} of them, which left ${hot} hot journals`);
    console.log(`    mended by the same command line: ${mended} of ${kills}`);
  });
});
