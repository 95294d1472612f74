import { availableParallelism } from 'node:os';
import { BackfillError, EXIT } from '../errors.js';
import { runPool, type StoreResult } from '../fleet/pool.js';
import { findStores, ownerOf } from '../fleet/stores.js';
import { countByExit, outcomeOf, worstExit } from '../fleet/summary.js';
import { count, duration } from '../format.js';
import { DEFAULT_REPORT, REPORT_FILE } from '../report/default-file.js';
import type { FleetFacts } from '../report/fleet-page.js';
import type { ReportOutcome } from '../report/report.js';
import { findTarget, writeOut } from '../safety/out-file.js';
import type { Lang, Say } from '../words/lang.js';
import type { CliContext } from './cli.js';
import { reportLines } from './commands/report.js';
import { runnable } from './hints.js';
import { eventLog } from './log.js';
import type { CommonOptions } from './options.js';
import { type Lines, printLines, toJson } from './print.js';
import { errorLines, table } from './text.js';

/** Commands that can be run on many stores. */
const FLEET_COMMANDS: readonly string[] = ['up', 'deploy', 'down', 'status', 'verify', 'backfill'];

/** Options that are about one file, which many stores can not share. */
const ONE_FILE = [
  '--metrics-file',
  '--print-sql',
  '--database-url',
  '--postgres',
  '--workers',
  '--show-values',
];

/** At most this many stores that are not done are shown. */
const MAX_SHOWN = 50;

/** How often the log tells how far the fleet is, in milliseconds. */
const LOG_EVERY_MS = 5000;

/** The arguments without those that name stores, how many processes there are, and the form of the result. */
function withoutStores(argv: readonly string[], report: FleetOptions['report']): string[] {
  const left: string[] = [];
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] as string;
    if (word === '--db-path' || word === '--concurrency') i += 1;
    else if (word === '--report') i += argv[i + 1] === report ? 1 : 0;
    else if (word !== '--json' && !/^--(?:db-path|concurrency|report)=/.test(word)) left.push(word);
  }
  return left;
}

/** What a fleet asks of the options. */
interface FleetOptions extends CommonOptions {
  /** Of `up`: where the report goes. */
  readonly report?: string | true;
}

/** What a fleet is run with. */
export interface FleetCall {
  readonly command: string;
  readonly options: FleetOptions;
  readonly argv: readonly string[];
  readonly given: readonly string[];
  readonly lang: Lang;
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
  { env, folder, stdout, stderr, now = () => new Date(), embedding }: CliContext,
): Promise<number> {
  const { command, options, argv, given, say } = call;
  refuseForFleet(command, argv, embedding !== undefined);
  const target = options.report === undefined ? undefined : reportTarget(options.report);
  const { paths, refused } = await findStores(given);
  const owners = new Map(paths.map((path) => [path, ownerOf(path)]));
  const log = eventLog(options.logLevel, stderr);
  const startedAt = performance.now();
  let done = 0;
  let lastMs = startedAt;
  const ran = await runPool({
    argv: withoutStores(argv, options.report),
    paths: paths.filter((path) => !refused.has(path)),
    concurrency: options.concurrency ?? availableParallelism(),
    folder,
    env,
    ownerOf: (path) => owners.get(path),
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
  const results = [...ran, ...[...refused].map(([path, error]) => refusedStore(path, error))].sort((a, b) =>
    a.path < b.path ? -1 : 1,
  );
  const exitCode = worstExit(results);
  const durationMs = Math.round(performance.now() - startedAt);
  const stores = results.map(({ error: _, ...result }) => result); // it is part of the output
  const tell = (path: string, text: string): string =>
    runnable(text, env, { dbPath: path, backupDir: options.backupDir, store: path });
  const facts = { results, durationMs, madeAt: now() };
  const report = target === undefined ? {} : await writeReport(target, call, facts, tell);
  if (options.json)
    stdout.write(toJson({ command, exitCode, durationMs, stores, ...report }, (hint) => hint));
  else {
    printLines(stdout, fleetText(results, durationMs, say, tell));
    if (report.report) printLines(stdout, reportLines(report.report, say));
  }
  return exitCode;
}

/** The result of a store that was not opened. */
function refusedStore(path: string, { code, message, hint, exitCode }: BackfillError): StoreResult {
  const error = { code, message, hint };
  return { path, exitCode, durationMs: 0, output: { error: { ...error, exitCode } }, error };
}

const reportTarget = (given: string | true): string =>
  findTarget(REPORT_FILE, given === true ? DEFAULT_REPORT : given, undefined);

/** Writes one page about all stores. */
async function writeReport(
  target: string,
  { command, lang, say }: FleetCall,
  facts: Omit<FleetFacts, 'command'>,
  tell: (path: string, text: string) => string,
): Promise<{ readonly report?: ReportOutcome }> {
  const { fleetPage } = await import('../report/fleet-page.js');
  const { WORDS } = await import('../report/words.js');
  const text = fleetPage(
    { command, ...facts },
    { words: WORDS[lang], say },
    (path) => (words) => tell(path, words),
  );
  writeOut(REPORT_FILE, target, text);
  return { report: { path: target, bytes: Buffer.byteLength(text) } };
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
): Lines {
  const outcome = (code: number): string => say(outcomeOf(code));
  const others = results.filter(({ exitCode }) => exitCode !== EXIT.done);
  const lines = others.slice(0, MAX_SHOWN).flatMap(({ path, exitCode, error }) => {
    const told = error
      ? errorLines(error, say).map((line) => tell(path, line).replace(/^(?! {2})/, '  '))
      : [];
    return [`${path}${say(': ')}${outcome(exitCode)}`, ...told];
  });
  const counts = countByExit(results).map(([code, stores]) => [outcome(code), count(stores)]);
  return [
    ...lines,
    ...(others.length > MAX_SHOWN
      ? [say(`… and ${count(others.length - MAX_SHOWN)} more: --json lists all`)]
      : []),
    ...table([say('outcome'), say('stores')], counts),
    say(`${count(results.length)} stores in ${duration(durationMs)}`),
  ];
}
