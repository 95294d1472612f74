import { anySignal, handleBetweenBatches, signalHandlers } from '../abort.js';
import { isFromCode, withKnownPlaces } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { loadProject, type Project } from '../config.js';
import { plaintextWarnings } from '../db/postgres/address.js';
import { warning } from '../engine/run-options.js';
import { type BackfillError, EXIT, rootBackfillError } from '../errors.js';
import { isFleet } from '../fleet/stores.js';
import { type Lang, loadTranslator, localeLang, type Translate } from '../messages/lang.js';
import { english } from '../messages/message.js';
import type { MigratorOptions } from '../migrate/options.js';
import type { CommandName } from '../option-table.js';
import { becomeOwner } from './become-owner.js';
import { confirm, errorLines, printCauses, requireTerminal } from './error-output.js';
import { type HintContext, hintContext } from './hints.js';
import { createEventLogger, isInfoLogged, type Log } from './log.js';
import { openMetrics } from './metrics.js';
import {
  addressOfCall,
  type CliOptions,
  type Embedding,
  givenAll,
  type MigratorDefaults,
  migratorOptions,
  refuseOtherOptions,
} from './options.js';
import { printLines, type ResultText, renderLines, toJson } from './print.js';
import { progressView } from './progress.js';

/** Environment and streams of the command line: those of the process, or a test's. */
export interface CliContext {
  readonly env: NodeJS.ProcessEnv;
  /** Folder in which the config file is looked up. */
  readonly folder: string;
  /** Input for confirmations. Default: none, so that nothing is confirmed. */
  readonly stdin?: NodeJS.ReadableStream & { readonly isTTY?: boolean };
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
  /**
   * Whether the process serves this command alone, so that root may be given up for good, and no other code in it writes to the store.
   * Default false: root is refused on a store of others.
   */
  readonly ownsProcess?: boolean;
  /** Project of an embedding program. Default: that of the config file in the folder. */
  readonly embedding?: Embedding;
}

/** An output stream that may be a terminal of `columns` characters. */
export type OutputStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

/** A result in its two forms. */
export interface CommandResult {
  /** For programs; `command` and `error` are added as the first and the last property. */
  readonly json: object;
  readonly text: ResultText;
  /** Default: 0, or that of `error`. */
  readonly exitCode?: number;
  /** The error that ended the command, possibly after it changed something. It is printed after `text`. */
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

interface Call {
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
export interface Invocation extends Pick<Call, 'options' | 'args'>, Pick<Presenter, 'toRunnable'> {
  readonly name: CommandName;
  readonly context: CliContext;
  /** All arguments; they may name several stores. */
  readonly argv: readonly string[];
  /** Sets the context for hints, as soon as it is known. */
  readonly setHintContext: (hints: HintContext) => void;
}

/**
 * Runs a command and prints its result.
 *
 * @returns the exit code
 * @throws {BackfillError} if the command ends before it has a result
 */
export async function runCommand(
  command: StoreCommand | FolderCommand,
  invocation: Invocation,
): Promise<number> {
  const { options, args, context, toRunnable, setHintContext } = invocation;
  const lang = options.lang ?? localeLang(context.env);
  const translate = await loadTranslator(lang);
  const presenter = { lang, translate, toRunnable, columns: context.stdout.columns };
  if ('run' in command) return await runOnStore(command, invocation, presenter);
  const log = createEventLogger({ level: 'info', stream: context.stderr, translate });
  const result = await command.runIn(context.folder, {
    options,
    args,
    presenter,
    now: context.now?.() ?? new Date(),
    enter: (path, project) => enter(path, project, context, log),
  });
  setHintContext({ dbPath: options.dbPath });
  return printResult(result, invocation, presenter);
}

function printResult(
  result: CommandResult,
  { name, context, argv, options }: Invocation,
  presenter: Presenter,
): number {
  const { json, text, error } = result;
  const { translate, toRunnable } = presenter;
  if (error) context.onError?.(error);
  if (options.json) context.stdout.write(toJson({ command: name, ...json, error }, toRunnable));
  else printLines(context.stdout, renderLines(text, presenter).map(toRunnable));
  if (error) printCauses(error, argv, context);
  if (error && !options.json) printLines(context.stderr, errorLines(error, translate).map(toRunnable));
  return exitCodeOf(result);
}

const exitCodeOf = ({ error, exitCode }: CommandResult): number => error?.exitCode ?? exitCode ?? EXIT.done;

function enter(path: string, project: Project, { ownsProcess = false }: CliContext, log: Log): void {
  const user = ownsProcess ? becomeOwner(path, project) : undefined;
  if (user) log({ event: 'user_changed', ...user, store: path });
}

async function runOnStore(
  command: StoreCommand,
  invocation: Invocation,
  presenter: Presenter,
): Promise<number> {
  const { name, context, argv, options, args, setHintContext } = invocation;
  const { env, folder, stderr, now = () => new Date(), embedding, logFields, ownsProcess } = context;
  const { translate } = presenter;
  if (options.showValues) requireTerminal(context);
  const given = givenAll(argv, '--db-path');
  if (isFleet(given)) {
    const { runFleet } = await import('./fleet.js');
    return await runFleet(given, invocation, presenter);
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
    translate,
    fields: logFields,
    beforeLine: () => view?.clearLine(),
  });
  const view = isInfoLogged(level)
    ? progressView(stderr, env, (progress) => log({ event: 'progress', ...progress }))
    : undefined;
  const address = addressOfCall(options, loaded, env);
  const unencrypted = address.postgres && !isFromCode(address) ? plaintextWarnings(address.postgres) : []; // else known once it is connected
  // Not once per store of a fleet.
  if (!logFields) for (const text of [...(project.stale ?? []), ...unencrypted]) log(warning(text));
  const logged = unencrypted.map(english);
  refuseOtherOptions(options, address);
  if (!address.postgres) enter(address.path, project, context, log);
  setHintContext(hintContext(options, options['backup.folder'], address, project.config.database.path));
  const withPlaces = <Result>(act: () => Promise<Result>): Promise<Result> =>
    withKnownPlaces(project.config, address, env, act);
  const { metricsFile } = options;
  const metrics =
    metricsFile === undefined
      ? undefined
      : await withPlaces(async () => openMetrics(metricsFile, address, (text) => log(warning(text))));
  const stopper = new AbortController();
  const handlers = signalHandlers((name) => stopper.abort(name));
  const migrator: MigratorOptions = {
    ...migratorOptions(options, address, loaded),
    now,
    ownsProcess,
    signal: anySignal(signal, stopper.signal),
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
      return await command.run(how, { options, args, presenter });
    } finally {
      handlers.remove();
    }
  };
  const result = await withPlaces(() => run(migrator))
    .catch(async (thrown: unknown) => {
      if (!(await confirm(rootBackfillError(thrown), options, context, translate))) throw thrown;
      return await run({ ...migrator, confirmed: true });
    })
    .catch((thrown: unknown) => {
      metrics?.end(name, rootBackfillError(thrown).exitCode);
      throw thrown;
    });
  metrics?.end(name, exitCodeOf(result));
  return printResult(result, invocation, presenter);
}
