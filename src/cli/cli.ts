import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type StoreAddress, storeAddress } from '../address.js';
import { loadProject, type Project } from '../config.js';
import { expandHome, locateStore } from '../db/path.js';
import { plaintextWarnings } from '../db/postgres/tls.js';
import { type BackfillError, EXIT, rootBackfillError, toBackfillError } from '../errors.js';
import { givenStores } from '../fleet/stores.js';
import type { MigratorEvent, MigratorOptions } from '../migrator/session.js';
import { withKnownPlaces } from '../places.js';
import { findTarget, writeOut } from '../safety/out-file.js';
import { eitherSignal } from '../stop.js';
import { type Lang, localeLang, type Say, sayIn } from '../words/lang.js';
import { becomeOwner } from './become-owner.js';
import { printCauses, requireTerminal } from './causes.js';
import { isAgreed } from './confirm.js';
import { runnable, type TakenOver } from './hints.js';
import { eventLog, isInfoLogged, isLogged, type LoggedEvent } from './log.js';
import { collectMetrics, METRICS_FILE, type Metrics } from './metrics.js';
import {
  type Embedding,
  type MigratorDefaults,
  migratorOptions,
  refuseOtherOptions,
} from './migrator-options.js';
import type { CommonOptions, ReaderOptions } from './options.js';
import { type Lines, printLines, toJson } from './print.js';
import { progressView } from './progress.js';
import { errorLines } from './text.js';

/** What the command line runs in: the process's own environment and streams, or a test's. */
export interface CliContext {
  readonly env: NodeJS.ProcessEnv;
  /** Folder in which the config file is looked for. */
  readonly folder: string;
  /** Where a person may answer a question. Default: nobody is there. */
  readonly stdin?: InputStream;
  /** Takes the result. */
  readonly stdout: OutputStream;
  /** Takes the log, the progress and an error's text. */
  readonly stderr: OutputStream;
  /** The clock that records go by. Default: the system's. */
  readonly now?: () => Date;
  /** Told the error that ends a command, beside its being printed: in English, its commands not made to run as they stand. */
  readonly onError?: (error: BackfillError) => void;
  /** Further fields of every line of the log. Default: none. */
  readonly logFields?: Readonly<Record<string, string>>;
  /** Whether the process serves this command alone, so that root may be given up for good. Default false: root is refused on a store of others. */
  readonly ownsProcess?: boolean;
  /** What an embedding program brings instead of a config file. Default: the config file of the folder counts. */
  readonly embedding?: Embedding;
}

export type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** A stream that may be a terminal, so many columns wide. */
export type OutputStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** A result in its two forms. */
export interface Output {
  /** For programs. */
  readonly json: unknown;
  /** For people. */
  readonly text: Lines;
  /** Default 0, or that of `error`. */
  readonly exitCode?: number;
  /** What ended the command, after it may have done something. Part of `json`, not of `text`. */
  readonly error?: BackfillError | undefined;
}

/** Who reads what a command tells. */
export interface Reader {
  readonly lang: Lang;
  /** Says a text in the reader's language. */
  readonly say: Say;
  /** Makes of the commands that a text names such that run as they stand. */
  readonly tell: (text: string) => string;
  /** Width of the terminal that the result goes to, in characters; undefined where it goes elsewhere. */
  readonly columns: number | undefined;
}

/** What a command does with its store. */
export type Act = (migrator: MigratorOptions, reader: Reader) => Promise<Output>;

/** What a command does with the files of a folder, at a time. `enter` must be called before a store's files are touched. */
export type LocalAct = (folder: string, reader: Reader, now: Date, enter: Enter) => Promise<Output>;

/** Gives up root for the owner of the store at `path`. */
export type Enter = (path: string, project: Project) => void;

/** Runs commands: loads the project, finds the store, listens to signals, prints the result. */
export interface Cli {
  /** Notes which command is run. */
  begin(command: string): void;
  /** Runs one command and keeps its exit code. */
  run(options: CommonOptions, act: Act): Promise<void>;
  /** Runs one command on the files of the current folder, without a store, and keeps its exit code. */
  runHere(options: ReaderOptions, act: LocalAct): Promise<void>;
}

/** Registers one command. */
export type Register = (program: Command, cli: Cli) => void;

/** Told what comes of a call. */
export interface Listener {
  /** The exit code of a command that ended without an error. */
  readonly exit: (code: number) => void;
  /** What hints take over, as soon as it is known. */
  readonly takeOver: (what: TakenOver) => void;
}

/**
 * Makes the runner of commands.
 *
 * @param argv the arguments of the call, which may name several stores
 */
export function makeCli(context: CliContext, listener: Listener, argv: readonly string[]): Cli {
  const { env, folder, stdout, stderr, now = () => new Date(), embedding, ownsProcess = false } = context;
  let command = '';
  const enter = (path: string, project: Project, log: (event: LoggedEvent) => void): void => {
    const user = ownsProcess ? becomeOwner(path, project) : undefined;
    if (user) log({ event: 'user_changed', ...user, store: path });
  };
  const readerOf = async (options: ReaderOptions, taken: TakenOver): Promise<Reader> => {
    const lang = options.lang ?? localeLang(env);
    const tell = (words: string): string => runnable(words, env, { ...taken, program: embedding?.program });
    return { lang, say: await sayIn(lang), tell, columns: stdout.columns };
  };
  const tellOutput = (output: Output, { json: isJson }: ReaderOptions, { say, tell }: Reader): void => {
    const { json, text, error } = output;
    if (error) context.onError?.(error);
    if (isJson) stdout.write(toJson(json, tell));
    else printLines(stdout, text.map(tell));
    if (error) printCauses(error, argv, context);
    if (error && !isJson) printLines(stderr, errorLines(error, say).map(tell));
    listener.exit(exitCodeOf(output));
  };
  return {
    begin(name) {
      command = name;
    },
    async runHere(options, act) {
      const reader = await readerOf(options, options);
      const log = eventLog('info', stderr, context.logFields);
      const output = await act(folder, reader, now(), (path, project) => enter(path, project, log));
      tellOutput(output, options, reader);
    },
    async run(options, act) {
      if (options.showValues) requireTerminal(context);
      const given = givenStores(argv);
      if (given) {
        const { runFleet } = await import('./fleet.js');
        const { lang, say } = await readerOf(options, {});
        listener.exit(await runFleet({ command, options, argv, given, lang, say }, context));
        return;
      }
      const trust = { trustsConfig: options.trustConfig };
      const loaded = await (embedding?.loadMigrator(trust) ??
        loadProject(folder, trust).then((project) => ({ project })));
      const { project, signal, onEvent }: MigratorDefaults = loaded;
      const log = eventLog(options.logLevel, stderr, context.logFields);
      const view = isInfoLogged(options.logLevel)
        ? progressView({
            stream: stderr,
            env,
            log: (progress) => log({ event: 'progress', ...progress }),
          })
        : undefined;
      if (!context.logFields) for (const text of project.stale ?? []) log({ event: 'warning', text });
      const address = storeAddress(project.config, options, env);
      const unencrypted = address.postgres ? plaintextWarnings(address.postgres) : [];
      if (!context.logFields) for (const text of unencrypted) log({ event: 'warning', text });
      refuseOtherOptions(options, address);
      if (!address.postgres) enter(address.path, project, log);
      const taken = takenOver(options, address, project.config.database.path);
      listener.takeOver(taken);
      const reader = await readerOf(options, taken);
      const finding = <Result>(find: () => Promise<Result>): Promise<Result> =>
        withKnownPlaces(project.config, address, env, find);
      const { metricsFile } = options;
      const metrics =
        metricsFile === undefined
          ? undefined
          : await finding(async () => openMetrics(metricsFile, address, log));
      const stopper = new AbortController();
      const stop = (name: NodeJS.Signals): void => {
        deafen(stop); // so that a second signal, of either kind, ends the process at once
        stopper.abort(name);
      };
      const migrator: MigratorOptions = {
        ...migratorOptions(options, address, loaded),
        now,
        signal: eitherSignal(signal, stopper.signal),
        onEvent: (event) => {
          if (!address.postgres) listenInBatches(event, stop);
          onEvent?.(event);
          if (isLogged(options.logLevel, event)) view?.giveWay();
          if (event.event !== 'warning' || !unencrypted.includes(event.text)) log(event); // it has been told
          view?.take(event);
          metrics?.take(event);
        },
      };
      // Not while a person is asked: what would wait for the answer then ends as ever.
      const heard = async (how: MigratorOptions): Promise<Output> => {
        if (address.postgres) listen(stop);
        try {
          return await act(how, reader);
        } finally {
          deafen(stop);
        }
      };
      const output = await finding(() => heard(migrator))
        .catch(async (thrown: unknown) => {
          if (!(await isAgreed(rootBackfillError(thrown), options, context, reader.say))) throw thrown;
          return await heard({ ...migrator, isConfirmed: true });
        })
        .catch(async (thrown: unknown) => {
          await metrics?.end(command, rootBackfillError(thrown).exitCode);
          throw thrown;
        });
      await metrics?.end(command, exitCodeOf(output));
      tellOutput(output, options, reader);
    },
  };
}

/** What the commands in hints take over: who runs one may not have this environment, and would run it on another store. */
function takenOver(
  options: CommonOptions,
  { path, postgres }: StoreAddress,
  usual: string | undefined,
): TakenOver {
  const { backupDir } = options;
  if (postgres)
    return { databaseUrl: options.postgres ? undefined : path, isPostgres: options.postgres, store: path };
  const dbPath = options.dbPath ?? (path === usual ? undefined : resolve(expandHome(path)));
  return { dbPath, backupDir, store: dbPath ?? expandHome(path) };
}

const exitCodeOf = ({ error, exitCode }: Output): number => error?.exitCode ?? exitCode ?? EXIT.done;

/** Metrics that go into a file. Where that can't be written in the end, the log says so: the store is what counts. */
function openMetrics(given: string, store: StoreAddress, log: (event: MigratorEvent) => void): Metrics {
  const path = findTarget(METRICS_FILE, given, store.postgres ? undefined : locateStore(store.path));
  return collectMetrics((text) => {
    try {
      writeOut(METRICS_FILE, path, text);
    } catch (error) {
      log({ event: 'warning', text: toBackfillError(error, 'while writing the metrics file').message });
    }
  });
}

/**
 * On a file, a signal is heard between batches, and waits for the commit. Elsewhere a long statement would keep it from being
 * heard, so that the default holds: the process ends at once, which is safe. On a server it is always heard. A second signal ends the
 * process at once, too.
 */
function listenInBatches({ event }: MigratorEvent, stop: (name: NodeJS.Signals) => void): void {
  if (event === 'batches_started') listen(stop);
  if (event === 'batches_ended') deafen(stop);
}

const HEARD = ['SIGINT', 'SIGTERM'] as const;

function listen(stop: (name: NodeJS.Signals) => void): void {
  for (const name of HEARD) process.on(name, stop);
}

function deafen(stop: (name: NodeJS.Signals) => void): void {
  for (const name of HEARD) process.removeListener(name, stop);
}
