import { anySignal } from '../abort.js';
import { type StoreAddress, storeAddress } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { loadProject, type Project } from '../config.js';
import { locateStore } from '../db/path.js';
import { plaintextWarnings } from '../db/postgres/address.js';
import { warning } from '../engine/run-options.js';
import { type BackfillError, EXIT, rootBackfillError, toBackfillError } from '../errors.js';
import { storeArguments } from '../fleet/stores.js';
import { type Lang, loadTranslator, localeLang, type Translate } from '../messages/lang.js';
import { english, type Message } from '../messages/message.js';
import type { MigratorEvent, MigratorOptions } from '../migrate/options.js';
import type { CommandName } from '../option-table.js';
import { withKnownPlaces } from '../places.js';
import { resolveOutputPath, writeAtomically } from '../safety/output-file.js';
import { becomeOwner } from './become-owner.js';
import { printCauses, requireTerminal } from './causes.js';
import { confirm } from './confirm.js';
import { asRunnable, type HintContext, hintContext } from './hints.js';
import { createEventLogger, isInfoLogged, type LoggedEvent } from './log.js';
import { collectMetrics, METRICS_FILE, type Metrics } from './metrics.js';
import {
  type CliOptions,
  type Embedding,
  type MigratorDefaults,
  migratorOptions,
  refuseOtherOptions,
} from './options.js';
import { printLines, toJson } from './print.js';
import { progressView } from './progress.js';
import { type SignalHandlers, signalHandlers } from './signals.js';
import { errorLines, type Line, renderLines } from './text.js';

/** Environment and streams of the command line: those of the process, or a test's. */
export interface CliContext {
  readonly env: NodeJS.ProcessEnv;
  /** Folder in which the config file is looked up. */
  readonly folder: string;
  /** Input for confirmations. Default: none, so that nothing is confirmed. */
  readonly stdin?: InputStream;
  /** Receives the result. */
  readonly stdout: OutputStream;
  /** Receives the log, the progress and an error's text. */
  readonly stderr: OutputStream;
  /** Clock for the times in the ledger. Default: the system's. */
  readonly now?: () => Date;
  /** Called with the error that ends a command, in addition to its output. The commands in its hint are not made runnable. */
  readonly onError?: (error: BackfillError) => void;
  /** Fields added to every log line. Default: none. */
  readonly logFields?: Readonly<Record<string, string>>;
  /** Whether the process serves this command alone, so that root may be given up for good. Default false: root is refused on a store of others. */
  readonly ownsProcess?: boolean;
  /** Project of an embedding program. Default: that of the config file in the folder. */
  readonly embedding?: Embedding;
}

/** An input stream that may be a terminal. */
type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** An output stream that may be a terminal of `columns` characters. */
export type OutputStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** A result in its two forms. */
export interface CommandResult {
  /** For programs. */
  readonly json: unknown;
  /** For people. */
  readonly text: readonly Line[];
  /** Default: 0, or that of `error`. */
  readonly exitCode?: number;
  /** The error that ended the command, possibly after it changed something. It is in `json`, and is printed after `text`. */
  readonly error?: BackfillError | undefined;
}

/** The reader of a result. */
export interface Presenter {
  readonly lang: Lang;
  /** Renders a text in the reader's language. */
  readonly translate: Translate;
  /** Makes the commands in a text runnable as they are. */
  readonly toRunnable: (text: string) => string;
  /** Width of the terminal that receives the result, in characters; undefined without one. */
  readonly columns: number | undefined;
}

/** A command as it was called. */
export interface Call {
  readonly options: CliOptions;
  readonly args: readonly string[];
  readonly presenter: Presenter;
}

/** A call of a command on the files of a folder. */
interface FolderCall extends Call {
  readonly now: Date;
  /** Gives up root for the owner of the store at `path`. Must be called before a store's files are touched. */
  readonly enter: (path: string, project: Project) => void;
}

interface CommandBase {
  readonly name: CommandName;
  readonly description: string;
  /** Argument and its help, as commander takes them. Default: none. */
  readonly argument?: readonly [name: string, help: string];
  /** Example for the help, without the program's name. */
  readonly example: string;
}

/** A command that needs a store. */
export interface StoreCommand extends CommandBase {
  run(migrator: MigratorOptions, call: Call): Promise<CommandResult>;
}

/** A command that needs no store. */
export interface FolderCommand extends CommandBase {
  runIn(folder: string, call: FolderCall): Promise<CommandResult>;
}

/** An invocation of the program. */
interface Invocation {
  readonly context: CliContext;
  /** All arguments; they may name several stores. */
  readonly argv: readonly string[];
  /** Called with the context for hints, as soon as it is known. */
  readonly setHintContext: (hints: HintContext) => void;
}

/**
 * Runs a command and prints its result.
 *
 * @param call the options and arguments of the command
 * @returns the exit code
 * @throws {BackfillError} if the command ends before it has a result
 */
export async function runCommand(
  command: StoreCommand | FolderCommand,
  call: Omit<Call, 'presenter'>,
  invocation: Invocation,
): Promise<number> {
  if ('run' in command) return await runOnStore(command, call, invocation);
  const { context, argv } = invocation;
  const { options } = call;
  const reader = await readerOf(options, context);
  const presenter = presenterFor(reader, { dbPath: options.dbPath }, context);
  const log = createEventLogger({ level: 'info', stream: context.stderr, translate: reader.translate });
  const result = await command.runIn(context.folder, {
    ...call,
    presenter,
    now: context.now?.() ?? new Date(),
    enter: (path, project) => enter(path, project, context, log),
  });
  return printResult(result, options, presenter, { context, argv });
}

type Reader = Pick<Presenter, 'lang' | 'translate'>;

async function readerOf({ lang }: CliOptions, { env }: CliContext): Promise<Reader> {
  const read = lang ?? localeLang(env);
  return { lang: read, translate: await loadTranslator(read) };
}

const presenterFor = (
  reader: Reader,
  hints: HintContext,
  { env, stdout, embedding }: CliContext,
): Presenter => ({
  ...reader,
  toRunnable: (text) => asRunnable(text, env, { ...hints, program: embedding?.program }),
  columns: stdout.columns,
});

function printResult(
  result: CommandResult,
  { json: isJson }: CliOptions,
  { translate, toRunnable }: Presenter,
  { context, argv }: Pick<Invocation, 'context' | 'argv'>,
): number {
  const { json, text, error } = result;
  if (error) context.onError?.(error);
  if (isJson) context.stdout.write(toJson(json, toRunnable));
  else printLines(context.stdout, renderLines(text, translate).map(toRunnable));
  if (error) printCauses(error, argv, context);
  if (error && !isJson) printLines(context.stderr, errorLines(error, translate).map(toRunnable));
  return exitCodeOf(result);
}

const exitCodeOf = ({ error, exitCode }: CommandResult): number => error?.exitCode ?? exitCode ?? EXIT.done;

type Log = (event: LoggedEvent) => void;

function enter(path: string, project: Project, { ownsProcess = false }: CliContext, log: Log): void {
  const user = ownsProcess ? becomeOwner(path, project) : undefined;
  if (user) log({ event: 'user_changed', ...user, store: path });
}

async function runOnStore(
  command: StoreCommand,
  call: Omit<Call, 'presenter'>,
  { context, argv, setHintContext }: Invocation,
): Promise<number> {
  const { env, folder, stderr, now = () => new Date(), embedding, logFields } = context;
  const { options } = call;
  if (options.showValues) requireTerminal(context);
  const reader = await readerOf(options, context);
  const given = storeArguments(argv);
  if (given) {
    const { runFleet } = await import('./fleet.js');
    return await runFleet({ command: command.name, options, argv, given, ...reader }, context);
  }
  const trust = { trustConfig: options.trustConfig };
  const loaded: MigratorDefaults = embedding
    ? await embedding.loadMigrator(trust)
    : { project: await loadProject(folder, trust) };
  const { project, signal } = loaded;
  const { logLevel: level = COMMAND_OPTIONS.logLevel.default } = options;
  const log = createEventLogger({
    level,
    stream: stderr,
    translate: reader.translate,
    fields: logFields,
    beforeLine: () => view?.clearLine(),
  });
  const view = isInfoLogged(level)
    ? progressView({ stream: stderr, env, log: (progress) => log({ event: 'progress', ...progress }) })
    : undefined;
  const warn = (texts: readonly Message[]): void => {
    if (logFields) return; // not once per store of a fleet
    for (const text of texts) log(warning(text));
  };
  const address = storeAddress(project.config, options, env);
  const unencrypted = address.postgres ? plaintextWarnings(address.postgres) : [];
  warn([...(project.stale ?? []), ...unencrypted]);
  const logged = unencrypted.map(english);
  refuseOtherOptions(options, address);
  if (!address.postgres) enter(address.path, project, context, log);
  const hints = hintContext(options, options['backup.folder'], address, project.config.database.path);
  setHintContext(hints);
  const presenter = presenterFor(reader, hints, context);
  const withPlaces = <Result>(act: () => Promise<Result>): Promise<Result> =>
    withKnownPlaces(project.config, address, env, act);
  const { metricsFile } = options;
  const metrics =
    metricsFile === undefined
      ? undefined
      : await withPlaces(async () => openMetrics(metricsFile, address, log));
  const handlers = signalHandlers();
  const migrator: MigratorOptions = {
    ...migratorOptions(options, address, loaded),
    now,
    signal: anySignal(signal, handlers.signal),
    onEvent: (event) => {
      if (!address.postgres) handleBetweenBatches(event, handlers);
      loaded.onEvent?.(event);
      if (event.event !== 'warning' || !logged.includes(event.text)) log(event); // those are logged above
      view?.onEvent(event);
      metrics?.onEvent(event);
    },
  };
  // Signals are not handled during a confirmation: they end the process, which waits for the answer.
  const run = async (how: MigratorOptions): Promise<CommandResult> => {
    if (address.postgres) handlers.add();
    try {
      return await command.run(how, { ...call, presenter });
    } finally {
      handlers.remove();
    }
  };
  const result = await withPlaces(() => run(migrator))
    .catch(async (thrown: unknown) => {
      if (!(await confirm(rootBackfillError(thrown), options, context, presenter.translate))) throw thrown;
      return await run({ ...migrator, confirmed: true });
    })
    .catch((thrown: unknown) => {
      metrics?.end(command.name, rootBackfillError(thrown).exitCode);
      throw thrown;
    });
  metrics?.end(command.name, exitCodeOf(result));
  return printResult(result, options, presenter, { context, argv });
}

/** Opens the metrics file. If it cannot be written in the end, a warning is logged, and the command does not fail. */
function openMetrics(given: string, store: StoreAddress, log: Log): Metrics {
  const path = resolveOutputPath(METRICS_FILE, given, store.postgres ? undefined : locateStore(store.path));
  return collectMetrics((text) => {
    try {
      writeAtomically(METRICS_FILE, path, text);
    } catch (error) {
      log(warning(toBackfillError(error, 'while writing the metrics file').texts.message));
    }
  });
}

/**
 * Handles signals of a run on a file between batches, after the commit. At other times a long statement would delay the handler, so that
 * the default applies: the process ends at once, which is safe. On a server, signals are always handled.
 */
function handleBetweenBatches({ event }: MigratorEvent, handlers: SignalHandlers): void {
  if (event === 'batches_started') handlers.add();
  if (event === 'batches_finished') handlers.remove();
}
