import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { generateStore } from '../../demo/store-generator.js';
import { runCli, spawnCli } from './cli.js';
import { listening, type Point } from './failpoints.js';
import { asAgentOs } from './stores.js';
import { onTerminal, screenOf, terminalCommand } from './terminal.js';

// What a person sees in each state of a store, on a terminal of 80 columns: the blocks of docs/screens.md.

const COLUMNS = 80;

const aBatch = (nth: number): Point => ({ ...BATCH, nth });
const BATCH: Point = { at: 'statement', detail: 'INSERT INTO temp.umzug_backfill_batch' };
const VERDICT: Point = { at: 'statement', detail: 'INSERT INTO umzug_backfill_verifications' };

/** How a command of a scene is run. */
interface Run {
  /** Its exit code; null when it is killed. Default 0. */
  readonly code?: number | null;
  /** Where something happens to it. */
  readonly at?: Point;
  /** What happens there. Default: it is killed. */
  readonly act?: readonly string[];
}

/** A store in a folder of its own, and the screens of commands on it. */
class Scene {
  readonly store: string;
  readonly #home: string;

  constructor(folder: string, from: string) {
    this.store = join(folder, 'store.db');
    this.#home = join(folder, 'home');
    mkdirSync(this.#home, { recursive: true });
    copyFileSync(from, this.store);
  }

  /** Runs a command whose screen does not matter. */
  async run(args: readonly string[], { code = 0, at, act }: Run = {}): Promise<void> {
    const words = [...args, '--db-path', this.store];
    const result = await (at ? spawnCli(words, listening({ ...at, run: act })) : runCli(words));
    expect(result.code, result.stderr).to.equal(code);
  }

  /** What stands on the screen when a command has ended, with the command above it and its exit code below. */
  screen(args: readonly string[], { code = 0, at, act }: Run = {}): string {
    const { env } = at ? listening({ ...at, run: act }) : {};
    const words = [...args, '--db-path', this.store];
    const ended = onTerminal(words, this.#home, { columns: COLUMNS, env: { ...env } });
    expect(ended.code, ended.output).to.equal(code);
    return this.#shown(args, ended.output, code);
  }

  /** What `status` shows on another terminal while a command stands still at a point. */
  async statusDuring(args: readonly string[], at: Point): Promise<string> {
    const file = join(dirname(this.store), 'status');
    const status = terminalCommand(['status', '--db-path', this.store], COLUMNS);
    await this.run(args, { at, act: ['sh', '-c', 'NODE_OPTIONS= "$@" > "$0"', file, ...status] });
    return this.#shown(['status'], readFileSync(file, 'utf8'), 0);
  }

  #shown(args: readonly string[], output: string, code: number | null): string {
    const lines = screenOf(output)
      .replaceAll(this.store, '/data/store.db')
      .split('\n')
      .map((line) => line.trimEnd())
      .filter((line) => line !== '' && !/^\[.*\] INFO/.test(line));
    return [
      `$ umzug-backfill ${args.join(' ')}`,
      ...lines,
      code === null ? '(killed)' : `(exit code ${code})`,
    ].join('\n');
  }
}

/** The first check of a verification's screen, and what stands around its table. */
function firstCheck(screen: string): string {
  const lines = screen.split('\n');
  const [second, end] = [/^│ 2 /, /^└/].map((of) => lines.findIndex((line) => of.test(line)));
  return [
    ...lines.slice(0, second),
    '│ …               │         │                                                  │',
    ...lines.slice(end),
  ].join('\n');
}

/** The screen of each state, by its heading in docs/screens.md. */
export async function captureScreens(folder: string): Promise<ReadonlyMap<string, string>> {
  const v20 = join(folder, 'v20.db');
  generateStore({ path: v20, audits: 60_000 });
  const scene = (name: string, from = v20): Scene => {
    mkdirSync(join(folder, name));
    return new Scene(join(folder, name), from);
  };
  const screens = new Map<string, string>();
  const up = ['up', '--no-backup'];

  const fresh = scene('fresh');
  screens.set('Nothing done yet', fresh.screen(['status']));
  const killed = fresh.screen(up, { at: aBatch(9), code: null });
  screens.set('Running', await scene('running').statusDuring(up, aBatch(9)));
  screens.set('Progress', killed.split('\n').findLast((line) => /[█░]/.test(line)) ?? '');

  const stopped = scene('stopped');
  const told = stopped.screen(up, { at: aBatch(9), act: ['sh', '-c', 'kill -TERM $PPID'], code: 143 });
  screens.set('Stopped', `${told}\n${stopped.screen(['status'])}`);

  await stopped.run(up);
  screens.set('Done', stopped.screen(['status']));
  screens.set('Done, in Chinese', stopped.screen(['status', '--lang', 'zh']));

  const unverified = scene('unverified');
  await unverified.run(up, { at: VERDICT, code: null });
  screens.set('Unverified', unverified.screen(['status']));

  asAgentOs(unverified.store, (db) =>
    db.exec(`UPDATE task_audits SET source_event_ts = NULL WHERE audit_id =
      (SELECT min(audit_id) FROM task_audits WHERE audit_id > 5000 AND source_event_ts IS NOT NULL)`),
  );
  const failed = unverified.screen(up, { code: 5 });
  screens.set('Failed', `${firstCheck(failed)}\n${unverified.screen(['status'])}`);

  asAgentOs(stopped.store, (db) =>
    db.exec(`UPDATE umzug_backfill_steps SET fingerprint = 'of another declaration' WHERE kind = 'backfill'`),
  );
  screens.set('Drifted', stopped.screen(['status']));
  return screens;
}

/** A screen without what differs from run to run: figures, times, who runs, and where lines are broken for them. */
export const timeless = (screen: string): string =>
  screen
    .replace(/process \d+ on \S+,/g, 'process')
    .replace(/[█░]+/g, '█')
    .replace(/[\d.,]+ [kMG]?B\b/g, '#B') // before the spaces that end it are gone
    .replace(/ · batch [\d.,]+/g, '') // the last figure of the bar, where it fits
    .replace(/[│┌┬┐├┼┤└┴┘─\s]+/g, '')
    .replace(/(?:[\d.,]+(?:ms|s|min))+(?![a-z])/g, '#s')
    .replace(/[\d.,]+[kM]?B(?![a-z])/g, '#B')
    .replace(/Thestore(?:has#Basbefore|(?:grew|shrank)by#Bto#B)/g, 'Thestorehas#B')
    .replace(/\d[\d.,:TZ-]*/g, '#');
