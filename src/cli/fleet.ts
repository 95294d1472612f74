import { availableParallelism } from 'node:os';
import { COMMAND_OPTIONS } from '../command-options.js';
import { BackfillError, EXIT } from '../errors.js';
import { countByExit, exitLabel, runPool, type StoreResult, worstExit } from '../fleet/pool.js';
import { findStores, ownerOf } from '../fleet/stores.js';
import { count, duration } from '../format.js';
import type { Lang, Translate } from '../messages/lang.js';
import { type Message, msg } from '../messages/message.js';
import { DEFAULT_REPORT, REPORT_FILE } from '../report/default-file.js';
import type { FleetFacts } from '../report/fleet-page.js';
import type { ReportResult } from '../report/report.js';
import { resolveOutputPath, writeAtomically } from '../safety/output-file.js';
import type { Invocation, Presenter } from './cli.js';
import { errorLines } from './error-output.js';
import { asRunnable } from './hints.js';
import { createEventLogger } from './log.js';
import { type CliOptions, SINGLE_STORE_FLAGS } from './options.js';
import { printLines, type ResultText, renderLines, toJson } from './print.js';
import { reportLines } from './text.js';

const FLEET_COMMANDS: readonly string[] = ['up', 'deploy', 'down', 'status', 'verify', 'backfill'];

/** Maximum number of unfinished stores in the result. */
const MAX_SHOWN = 50;

/** Time between two log lines about the progress of the fleet, in milliseconds. */
const LOG_EVERY_MS = 5000;

/** Returns the arguments without the stores, the number of processes and the form of the result. */
function withoutStores(argv: readonly string[], report: CliOptions['report']): string[] {
  const left: string[] = [];
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] as string;
    if (word === '--db-path' || word === '--concurrency') i += 1;
    else if (word === '--report') i += argv[i + 1] === report ? 1 : 0;
    else if (word !== '--json' && !/^--(?:db-path|concurrency|report)=/.test(word)) left.push(word);
  }
  return left;
}

/**
 * Runs a command on several stores, and prints one summary.
 *
 * @param given the stores of the arguments: paths and patterns
 * @returns the worst exit code
 * @throws {BackfillError} `USAGE` if the command or an option is for one store only, `STORE_MISSING` if a pattern has no match
 */
export async function runFleet(
  given: readonly string[],
  { name: command, options, argv, context }: Invocation,
  presenter: Presenter,
): Promise<number> {
  const { env, folder, stdout, stderr, now = () => new Date(), embedding } = context;
  const { lang, translate } = presenter;
  refuseForFleet(command, argv, embedding !== undefined);
  const file = options.report === true ? DEFAULT_REPORT : options.report;
  const target = file === undefined ? undefined : resolveOutputPath(REPORT_FILE, file, undefined);
  const { paths, refused } = await findStores(given);
  const owners = new Map(paths.map((path) => [path, ownerOf(path)]));
  const level = options.logLevel ?? COMMAND_OPTIONS.logLevel.default;
  const log = createEventLogger({ level, stream: stderr, translate });
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
  const backupDir = options['backup.folder'];
  const toRunnable: ToRunnable = (path) => (text) =>
    asRunnable(text, env, { dbPath: path, backupDir, store: path });
  const facts = { command, results, durationMs, generatedAt: now() };
  const report = target === undefined ? undefined : await writeReport(target, lang, facts, toRunnable);
  if (options.json) stdout.write(toJson({ command, exitCode, durationMs, stores, report }, (hint) => hint));
  else {
    const text = fleetText(results, durationMs, translate, toRunnable);
    printLines(stdout, renderLines([...text, ...(report ? reportLines(report) : [])], presenter));
  }
  return exitCode;
}

const refusedStore = (path: string, error: BackfillError): StoreResult => ({
  path,
  exitCode: error.exitCode,
  durationMs: 0,
  output: { error },
  error: { code: error.code, ...error.texts },
});

/** Returns what makes the commands in a text about a store runnable. */
type ToRunnable = (path: string) => (text: string) => string;

async function writeReport(
  target: string,
  lang: Lang,
  facts: FleetFacts,
  toRunnable: ToRunnable,
): Promise<ReportResult> {
  const { fleetPage } = await import('../report/fleet-page.js');
  const { renderContext } = await import('../report/elements.js');
  const text = fleetPage(facts, await renderContext(lang), toRunnable);
  writeAtomically(REPORT_FILE, target, text);
  return { path: target, bytes: Buffer.byteLength(text) };
}

function refuseForFleet(command: string, argv: readonly string[], isEmbedded: boolean): void {
  const refuse = (message: Message): never => {
    throw new BackfillError('USAGE', message, msg('Pass one store with --db-path'));
  };
  if (!FLEET_COMMANDS.includes(command)) refuse(msg('The command {command} is for one store', { command }));
  const option = SINGLE_STORE_FLAGS.find((flag) =>
    argv.some((word) => word === flag || word.startsWith(`${flag}=`)),
  );
  if (option !== undefined) refuse(msg('{option} is for one store', { option }));
  if (isEmbedded) refuse(msg('Several stores need a config file, which other processes can load'));
}

function fleetText(
  results: readonly StoreResult[],
  durationMs: number,
  translate: Translate,
  toRunnable: ToRunnable,
): ResultText {
  const others = results.filter(({ exitCode }) => exitCode !== EXIT.done);
  const lines = others.slice(0, MAX_SHOWN).flatMap(({ path, exitCode, error }): ResultText => {
    const details = error
      ? errorLines({ code: error.code, texts: error }, translate)
          .map(toRunnable(path))
          .map((line) => line.replace(/^(?! {2})/, '  '))
      : [];
    return [[path, msg(': '), msg(exitLabel(exitCode))], ...details];
  });
  const hidden = others.length - MAX_SHOWN;
  return [
    ...lines,
    hidden > 0 && msg('… and {stores} more: --json lists all', { stores: count(hidden) }),
    {
      heads: [msg('outcome'), msg('stores')],
      rows: countByExit(results).map(([code, stores]) => [msg(exitLabel(code)), count(stores)]),
    },
    msg('{stores} stores in {duration}', { stores: count(results.length), duration: duration(durationMs) }),
  ];
}
