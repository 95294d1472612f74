import { resolve } from 'node:path';
import type { Command } from 'commander';
import { anySignal } from '../abort.js';
import { type StoreAddress, storeAddress } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { loadProject, type Project } from '../config.js';
import { expandHome, locateStore } from '../db/path.js';
import { plaintextWarnings } from '../db/postgres/tls.js';
import { type BackfillError, EXIT, rootBackfillError, toBackfillError } from '../errors.js';
import { storeArguments } from '../fleet/stores.js';
import { type Lang, loadTranslator, localeLang, type Translate } from '../messages/lang.js';
import { english } from '../messages/message.js';
import type { MigratorEvent, MigratorOptions } from '../migrate/options.js';
import { withKnownPlaces } from '../places.js';
import { resolveOutputPath, writeAtomically } from '../safety/output-file.js';
import { becomeOwner } from './become-owner.js';
import { printCauses, requireTerminal } from './causes.js';
import { confirm } from './confirm.js';
import { asRunnable, type HintContext } from './hints.js';
import { createEventLogger, isInfoLogged, type LoggedEvent } from './log.js';
import { collectMetrics, METRICS_FILE, type Metrics } from './metrics.js';
import {
  type CliOptions,
  type Embedding,
  type MigratorDefaults,
  migratorOptions,
  refuseOtherOptions,
} from './options.js';
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
export interface CommandResult {
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
export interface Presenter {
  readonly lang: Lang;
  /** Says a text in the reader's language. */
  readonly translate: Translate;
  /** Makes of the commands that a text names such that run as they stand. */
  readonly toRunnable: (text: string) => string;
  /** Width of the terminal that the result goes to, in characters; undefined where it goes elsewhere. */
  readonly columns: number | undefined;
}

/** What a command does with its store. */
export type CommandHandler = (migrator: MigratorOptions, presenter: Presenter) => Promise<CommandResult>;

/** What a command does with the files of a folder, at a time. `enter` must be called before a store's files are touched. */
export type LocalHandler = (
  folder: string,
  presenter: Presenter,
  now: Date,
  enter: Enter,
) => Promise<CommandResult>;

/** Gives up root for the owner of the store at `path`. */
export type Enter = (path: string, project: Project) => void;

/** Runs commands: loads the project, finds the store, listens to signals, prints the result. */
export interface Cli {
  /** Notes which command is run. */
  begin(command: string): void;
  /** Runs one command and keeps its exit code. */
  run(options: CliOptions, act: CommandHandler): Promise<void>;
  /** Runs one command on the files of the current folder, without a store, and keeps its exit code. */
  runWithoutStore(options: CliOptions, act: LocalHandler): Promise<void>;
}

/** Registers one command. */
export type Register = (program: Command, cli: Cli) => void;

/** Told what comes of a call. */
export interface CliCallbacks {
  /** The exit code of a command that ended without an error. */
  readonly exit: (code: number) => void;
  /** What hints take over, as soon as it is known. */
  readonly setHintContext: (what: HintContext) => void;
}

/**
 * Makes the runner of commands.
 *
 * @param argv the arguments of the call, which may name several stores
 */
export function makeCli(context: CliContext, callbacks: CliCallbacks, argv: readonly string[]): Cli {
  const { env, folder, stdout, stderr, now = () => new Date(), embedding, ownsProcess = false } = context;
  let command = '';
  const enter = (path: string, project: Project, log: (event: LoggedEvent) => void): void => {
    const user = ownsProcess ? becomeOwner(path, project) : undefined;
    if (user) log({ event: 'user_changed', ...user, store: path });
  };
  const langOf = async ({
    lang = localeLang(env),
  }: CliOptions): Promise<Pick<Presenter, 'lang' | 'translate'>> => ({
    lang,
    translate: await loadTranslator(lang),
  });
  const toRunnable =
    (hints: HintContext) =>
    (words: string): string =>
      asRunnable(words, env, { ...hints, program: embedding?.program });
  const printResult = (
    output: CommandResult,
    { json: isJson }: CliOptions,
    { translate, toRunnable }: Presenter,
  ): void => {
    const { json, text, error } = output;
    if (error) context.onError?.(error);
    if (isJson) stdout.write(toJson(json, toRunnable));
    else printLines(stdout, text.map(toRunnable));
    if (error) printCauses(error, argv, context);
    if (error && !isJson) printLines(stderr, errorLines(error, translate).map(toRunnable));
    callbacks.exit(exitCodeOf(output));
  };
  return {
    begin(name) {
      command = name;
    },
    async runWithoutStore(options, act) {
      const told = await langOf(options);
      const hints = { dbPath: options.dbPath };
      const presenter = { ...told, toRunnable: toRunnable(hints), columns: stdout.columns };
      const log = createEventLogger({ level: 'info', stream: stderr, translate: told.translate });
      const output = await act(folder, presenter, now(), (path, project) => enter(path, project, log));
      printResult(output, options, presenter);
    },
    async run(options, act) {
      if (options.showValues) requireTerminal(context);
      const given = storeArguments(argv);
      if (given) {
        const { runFleet } = await import('./fleet.js');
        callbacks.exit(
          await runFleet({ command, options, argv, given, ...(await langOf(options)) }, context),
        );
        return;
      }
      const trust = { trustConfig: options.trustConfig };
      const loaded = await (embedding?.loadMigrator(trust) ??
        loadProject(folder, trust).then((project) => ({ project })));
      const { project, signal, onEvent }: MigratorDefaults = loaded;
      const { logLevel: level = COMMAND_OPTIONS.logLevel.default } = options;
      const told = await langOf(options);
      const log = createEventLogger({
        level,
        stream: stderr,
        translate: told.translate,
        fields: context.logFields,
        beforeLine: () => view?.clearLine(),
      });
      const view = isInfoLogged(level)
        ? progressView({
            stream: stderr,
            env,
            log: (progress) => log({ event: 'progress', ...progress }),
          })
        : undefined;
      if (!context.logFields)
        for (const text of project.stale ?? []) log({ event: 'warning', text: english(text) });
      const address = storeAddress(project.config, options, env);
      const unencrypted = address.postgres ? plaintextWarnings(address.postgres).map(english) : [];
      if (!context.logFields) for (const text of unencrypted) log({ event: 'warning', text });
      refuseOtherOptions(options, address);
      if (!address.postgres) enter(address.path, project, log);
      const hints = hintContext(options, address, project.config.database.path);
      callbacks.setHintContext(hints);
      const presenter = { ...told, toRunnable: toRunnable(hints), columns: stdout.columns };
      const finding = <Result>(find: () => Promise<Result>): Promise<Result> =>
        withKnownPlaces(project.config, address, env, find);
      const { metricsFile } = options;
      const metrics =
        metricsFile === undefined
          ? undefined
          : await finding(async () => openMetrics(metricsFile, address, log));
      const stopper = new AbortController();
      const stop = (name: NodeJS.Signals): void => {
        removeHandlers(stop); // so that a second signal, of either kind, ends the process at once
        stopper.abort(name);
      };
      const migrator: MigratorOptions = {
        ...migratorOptions(options, address, loaded),
        now,
        signal: anySignal(signal, stopper.signal),
        onEvent: (event) => {
          if (!address.postgres) handleBetweenBatches(event, stop);
          onEvent?.(event);
          if (event.event !== 'warning' || !unencrypted.includes(event.text)) log(event); // it has been told
          view?.onEvent(event);
          metrics?.onEvent(event);
        },
      };
      // Not while a person is asked: what would wait for the answer then ends as ever.
      const heard = async (how: MigratorOptions): Promise<CommandResult> => {
        if (address.postgres) addHandlers(stop);
        try {
          return await act(how, presenter);
        } finally {
          removeHandlers(stop);
        }
      };
      const output = await finding(() => heard(migrator))
        .catch(async (thrown: unknown) => {
          if (!(await confirm(rootBackfillError(thrown), options, context, presenter.translate)))
            throw thrown;
          return await heard({ ...migrator, confirmed: true });
        })
        .catch(async (thrown: unknown) => {
          metrics?.end(command, rootBackfillError(thrown).exitCode);
          throw thrown;
        });
      metrics?.end(command, exitCodeOf(output));
      printResult(output, options, presenter);
    },
  };
}

/** What the commands in hints take over: who runs one may not have this environment, and would run it on another store. */
function hintContext(
  options: CliOptions,
  { path, postgres }: StoreAddress,
  usual: string | undefined,
): HintContext {
  const backupDir = options['backup.folder'];
  if (postgres)
    return { databaseUrl: options.postgres ? undefined : path, isPostgres: options.postgres, store: path };
  const dbPath = options.dbPath ?? (path === usual ? undefined : resolve(expandHome(path)));
  return { dbPath, backupDir, store: dbPath ?? expandHome(path) };
}

const exitCodeOf = ({ error, exitCode }: CommandResult): number => error?.exitCode ?? exitCode ?? EXIT.done;

/** Metrics that go into a file. Where that can't be written in the end, the log says so: the store is what counts. */
function openMetrics(given: string, store: StoreAddress, log: (event: MigratorEvent) => void): Metrics {
  const path = resolveOutputPath(METRICS_FILE, given, store.postgres ? undefined : locateStore(store.path));
  return collectMetrics((text) => {
    try {
      writeAtomically(METRICS_FILE, path, text);
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
function handleBetweenBatches({ event }: MigratorEvent, stop: (name: NodeJS.Signals) => void): void {
  if (event === 'batches_started') addHandlers(stop);
  if (event === 'batches_finished') removeHandlers(stop);
}

const HANDLED_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

function addHandlers(stop: (name: NodeJS.Signals) => void): void {
  for (const name of HANDLED_SIGNALS) process.on(name, stop);
}

function removeHandlers(stop: (name: NodeJS.Signals) => void): void {
  for (const name of HANDLED_SIGNALS) process.removeListener(name, stop);
}
