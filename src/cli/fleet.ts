import { availableParallelism } from 'node:os';
import { BackfillError, EXIT } from '../errors.js';
import { runPool, type StoreResult } from '../fleet/pool.js';
import { findStores } from '../fleet/stores.js';
import { countByExit, worstExit } from '../fleet/summary.js';
import { count, duration } from '../format.js';
import type { Say } from '../words/lang.js';
import type { Surroundings } from './cli.js';
import { runnable } from './hints.js';
import { eventLog } from './log.js';
import type { CommonOptions } from './options.js';
import { errorText, table } from './text.js';

/** Commands that can be run on many stores. */
const FLEET_COMMANDS: readonly string[] = ['up', 'deploy', 'down', 'status', 'verify', 'backfill'];

/** Options that are about one file, which many stores can not share. */
const ONE_FILE = ['--report', '--metrics-file', '--print-sql', '--database-url', '--postgres', '--workers'];

/** At most this many stores that are not done are shown. */
const MAX_SHOWN = 50;

/** How often the log tells how far the fleet is, in milliseconds. */
const LOG_EVERY_MS = 5000;

/** The arguments without those that name stores, how many processes there are, and the form of the result. */
function withoutStores(argv: readonly string[]): string[] {
  const left: string[] = [];
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] as string;
    if (word === '--db-path' || word === '--concurrency') i += 1;
    else if (word !== '--json' && !/^--(?:db-path|concurrency)=/.test(word)) left.push(word);
  }
  return left;
}

/** What a fleet is run with. */
export interface FleetCall {
  readonly command: string;
  readonly options: CommonOptions;
  readonly argv: readonly string[];
  readonly given: readonly string[];
  readonly say: Say;
}

/**
 * Runs a command on every store that is given, and prints one summary.
 *
 * @returns the gravest exit code
 * @throws {BackfillError} `USAGE` for a command or an option that is about one store, `STORE_MISSING` for a pattern without a match
 */
export async function runFleet(
  call: FleetCall,
  { env, folder, print, embedding }: Surroundings,
): Promise<number> {
  const { command, options, argv, given, say } = call;
  refuseForFleet(command, argv, embedding !== undefined);
  const paths = await findStores(given);
  const log = eventLog(options.logLevel);
  const startedAt = performance.now();
  let done = 0;
  let lastMs = startedAt;
  const results = await runPool({
    argv: withoutStores(argv),
    paths,
    concurrency: options.concurrency ?? availableParallelism(),
    folder,
    env,
    onResult: (result) => {
      done += 1;
      log({
        event: 'store_finished',
        store: result.path,
        exitCode: result.exitCode,
        durationMs: result.durationMs,
      });
      if (performance.now() - lastMs < LOG_EVERY_MS) return;
      lastMs = performance.now();
      log({ event: 'fleet_progress', done, stores: paths.length });
    },
  });
  const exitCode = worstExit(results);
  const durationMs = Math.round(performance.now() - startedAt);
  const stores = results.map(({ error: _, ...result }) => result); // it is part of the output
  const tell = (path: string, text: string): string =>
    runnable(text, env, { dbPath: path, backupDir: options.backupDir, store: path });
  if (options.json) print(JSON.stringify({ command, exitCode, durationMs, stores }, undefined, 2));
  else print(fleetText(results, durationMs, say, tell));
  return exitCode;
}

function refuseForFleet(command: string, argv: readonly string[], isEmbedded: boolean): void {
  const refuse = (message: string): never => {
    throw new BackfillError('USAGE', message, 'Give one store with --db-path');
  };
  if (!FLEET_COMMANDS.includes(command)) refuse(`The command ${command} is for one store`);
  const one = ONE_FILE.find((option) =>
    argv.some((word) => word === option || word.startsWith(`${option}=`)),
  );
  if (one !== undefined) refuse(`${one} is for one store`);
  if (isEmbedded) refuse('Several stores need a config file, which other processes can load');
}

function fleetText(
  results: readonly StoreResult[],
  durationMs: number,
  say: Say,
  tell: (path: string, text: string) => string,
): string {
  const outcome = (code: number): string => say(MEANING[code] ?? 'failed');
  const others = results.filter(({ exitCode }) => exitCode !== EXIT.done);
  const lines = others.slice(0, MAX_SHOWN).flatMap(({ path, exitCode, error }) => {
    const told = error ? tell(path, errorText(error, say)).replaceAll(/^(?! {2})/gm, '  ') : '';
    return [`${path}${say(': ')}${outcome(exitCode)}`, ...(error ? [told] : [])];
  });
  const counts = countByExit(results).map(([code, stores]) => [outcome(code), count(stores)]);
  return [
    ...lines,
    ...(others.length > MAX_SHOWN
      ? [say(`… and ${count(others.length - MAX_SHOWN)} more: --json lists all`)]
      : []),
    table([say('outcome'), say('stores')], counts),
    say(`${count(results.length)} stores in ${duration(durationMs)}`),
  ].join('\n');
}

/** What an exit code says of a store. */
const MEANING: Readonly<Record<number, string>> = {
  [EXIT.done]: 'done',
  [EXIT.failed]: 'failed',
  [EXIT.usage]: 'failed',
  [EXIT.pending]: 'work pending',
  [EXIT.locked]: 'locked',
  [EXIT.unverified]: 'unverified',
  [EXIT.interrupted]: 'stopped',
  [EXIT.terminated]: 'stopped',
};
