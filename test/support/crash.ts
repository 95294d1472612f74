import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { runCli, spawnCli } from './cli.js';
import { copiesOf } from './copies.js';
import { type Scene, storeIn } from './crash-scenes.js';
import { expectIntact, expectLedger } from './expect-ledger.js';
import { differences, type State } from './expect-same.js';
import { killedAt, listening } from './failpoints.js';
import { readLedger } from './ledger.js';
import { asBackup, journalMode, lasting, stateOf } from './store-state.js';

// Kills a scene's command, looks at what is left, runs the very same command line again, and looks at the end.

export { isLong } from './long.js';

/** What a kill left: in `folder` as it is, in a copy for whoever opens it, since that rolls a journal back. */
export interface Wreck {
  readonly scene: Scene;
  readonly folder: string;
  /** When it was killed, for messages. */
  readonly moment: string;
  /** Whether the command was still running: one that had ended by then counts apart. */
  readonly wasUnderWay: boolean;
  /** What the store's next user has to mend. */
  readonly leftover: 'a hot journal' | 'frames in the WAL' | 'nothing';
}

/** A copy of a folder, beside it. */
export function copyOf(folder: string): string {
  const copy = mkdtempSync(`${folder}-`);
  cpSync(folder, copy, { recursive: true });
  return copy;
}

/** Kills the command at the nth failpoint that it passes. */
export async function killAt(scene: Scene, nth: number): Promise<Wreck> {
  const folder = copyOf(scene.folder);
  const { at, detail } = scene.points[nth - 1] ?? { at: '', detail: '' };
  await killedAt(scene.argsIn(folder), { nth });
  const moment = `point ${nth}, ${at} ${detail.trim().slice(0, 60)}`;
  return { scene, folder, moment, wasUnderWay: true, leftover: leftoverIn(folder) };
}

/** Kills the command a while after its first failpoint: wherever it is then. */
export async function killAfter(scene: Scene, delayMs: number): Promise<Wreck> {
  const folder = copyOf(scene.folder);
  const { result } = await timed(scene, folder, delayMs);
  const wasUnderWay = result.signal === 'SIGKILL';
  if (!wasUnderWay) expect(result.code, result.stderr).to.equal(0);
  return { scene, folder, moment: `after ${delayMs} ms`, wasUnderWay, leftover: leftoverIn(folder) };
}

/** How long the command takes from its first failpoint to its end, in milliseconds. */
export async function windowOf(scene: Scene): Promise<number> {
  const folder = copyOf(scene.folder);
  const { result, begunAt } = await timed(scene, folder);
  const windowMs = performance.now() - begunAt;
  expect(result.code, result.stderr).to.equal(0);
  rmSync(folder, { recursive: true });
  return windowMs;
}

async function timed(scene: Scene, folder: string, delayMs?: number) {
  let begunAt = 0;
  const says = { nth: 1, run: ['sh', '-c', 'echo begun >&2'] };
  const result = await spawnCli(
    scene.argsIn(folder),
    listening(says, {
      onStderr: (text, child) => {
        if (begunAt > 0 || !text.includes('begun')) return;
        begunAt = performance.now();
        if (delayMs !== undefined) setTimeout(() => child.kill('SIGKILL'), delayMs);
      },
    }),
  );
  expect(begunAt, result.stderr).to.be.above(0);
  return { result, begunAt };
}

/** What a killed process left beside the store. */
export function leftoverIn(folder: string): Wreck['leftover'] {
  const store = storeIn(folder);
  const size = (suffix: string): number => statSync(store + suffix, { throwIfNoEntry: false })?.size ?? 0;
  if (size('-wal') > 0) return 'frames in the WAL';
  const isHot = size('-journal') > 0 && readFileSync(`${store}-journal`)[0] !== 0;
  return isHot ? 'a hot journal' : 'nothing';
}

/** Kills the command ever later, running it again on what is left, until it ends by itself; returns how often it was killed. */
export async function killUntilDone(scene: Scene, step: number): Promise<number> {
  const folder = copyOf(scene.folder);
  for (let kills = 0; ; kills += 1) {
    const nth = 1 + kills * step;
    const { signal, code, stdout, stderr } = await spawnCli(scene.argsIn(folder), listening({ nth }));
    const wreck: Wreck = { scene, folder, moment: `kill ${kills}`, wasUnderWay: true, leftover: 'nothing' };
    await labelled(wreck, async () => {
      if (signal === 'SIGKILL') return void (await expectSound(wreck));
      expect(code, stdout + stderr).to.equal(0);
      await expectMended(wreck);
      // Each kill between a backup and its note in the ledger leaves one.
      expectCopies(wreck, copiesIn(scene, folder, 'backup').length);
    });
    if (signal !== 'SIGKILL') return kills;
  }
}

/** Looks at what is left, runs the command again, and insists that then all is as if nobody had interrupted it. */
export async function mend(wreck: Wreck): Promise<void> {
  const { scene, folder } = wreck;
  await labelled(wreck, async () => {
    const isNoted = await expectSound(wreck);
    const left = copiesIn(scene, folder, 'backup').length;
    const again = await runCli(scene.argsIn(folder));
    expect(again.code, again.stdout + again.stderr).to.equal(0);
    await expectMended(wreck);
    expectCopies(wreck, isNoted ? 1 : left + 1);
  });
  rmSync(folder, { recursive: true });
}

/** Acts; a failure says which command was killed, and when. */
async function labelled({ scene, moment }: Wreck, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    const { command, variant, mode } = scene;
    const title = [command, variant, mode].filter((word) => word !== '').join(' ');
    if (error instanceof Error) error.message = `${title}, ${moment}: ${error.message}`;
    throw error;
  }
}

/** Right after the kill. Returns whether the ledger tells of the command. */
async function expectSound({ scene, folder }: Wreck): Promise<boolean> {
  const copy = copyOf(folder);
  const path = storeIn(copy);
  expectIntact(path);
  expect(journalMode(path)).to.equal(scene.mode);
  if (scene.command === 'restore') expectOneOf(stateOf(path), [scene.before, scene.after]);
  else expectLedger(path, scene.original, scene.command === 'backfill' ? 2 : 1);
  const isNoted = isNotedIn(path, scene);
  rmSync(copy, { recursive: true });
  return isNoted;
}

function expectOneOf(now: State, states: readonly State[]): void {
  const found = states.map((state) => differences(now, state));
  if (!found.some(({ length }) => length === 0)) expect(found.flat(), 'half done').to.deep.equal([]);
}

/** Whether the command stands in the ledger; once a `down` has reverted everything there is none any more. */
function isNotedIn(path: string, { command }: Scene): boolean {
  const ledger = readLedger(path);
  return ledger.exists() ? ledger.commands().some((noted) => noted.command === command) : command === 'down';
}

/** After the second run. */
async function expectMended({ scene, folder }: Wreck): Promise<void> {
  const path = storeIn(folder);
  const { command } = scene;
  expectIntact(path);
  const isFilled = command === 'up' || command === 'backfill';
  // Two runs differ in their times; what `down` and `restore` lead back to has none of a run.
  const same = (state: State): State => (isFilled ? lasting(state) : state);
  expect(differences(same(stateOf(path)), same(scene.after))).to.deep.equal([]);
  if (!isFilled) return;
  expectLedger(path, scene.original, command === 'backfill' ? 2 : 1);
  const verified = await runCli(['verify', '--db-path', path]);
  expect(verified.code, verified.stdout + verified.stderr).to.equal(0);
}

/** Names of the copies of the store that the command made. */
const copiesIn = (scene: Scene, folder: string, kind: 'backup' | 'before-restore'): string[] => {
  const already = readdirSync(scene.folder);
  return copiesOf(storeIn(folder), kind)
    .map((path) => basename(path))
    .filter((name) => name.startsWith('store.db.') && !already.includes(name));
};

/** Every copy is whole; nothing else is left beside the store but its lock. */
function expectCopies({ scene, folder }: Wreck, backups: number): void {
  const { command, before, after } = scene;
  const made = copiesIn(scene, folder, 'backup');
  expect(made, 'backups').to.have.length(command === 'up' || command === 'down' ? backups : 0);
  for (const name of made)
    expect(differences(stateIn(folder, name), asBackup(before)), name).to.deep.equal([]);

  const saved = copiesIn(scene, folder, 'before-restore');
  const states = saved.map((name) => stateIn(folder, name));
  for (const state of states) expectOneOf(state, [before, after].map(asBackup));
  const hasBefore = states.some((state) => differences(state, asBackup(before)).length === 0);
  expect(hasBefore, 'a copy of the store as it was').to.equal(command === 'restore');

  const expected = [...readdirSync(scene.folder), 'store.db.lock', ...made, ...saved];
  expect(readdirSync(folder)).to.have.members(expected);
}

/** What a copy holds, read from a copy of it: `folder` is left as it is. */
function stateIn(folder: string, name: string): State {
  const look = mkdtempSync(join(dirname(folder), `${basename(folder)}-look-`));
  cpSync(join(folder, name), storeIn(look));
  const state = stateOf(storeIn(look));
  rmSync(look, { recursive: true });
  return state;
}

/** Numbers from 0 up to 1, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Acts on each item, to the end whatever fails; then fails with what failed first. */
export async function each<Item>(items: readonly Item[], act: (item: Item) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await act(item).catch((error) => failures.push(error));
  if (failures.length > 1) console.log(`    ${failures.length} of ${items.length} failed; the first:`);
  if (failures.length > 0) throw failures[0];
}
