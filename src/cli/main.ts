import { Command, CommanderError } from 'commander';
import { BackfillError, EXIT, rootBackfillError } from '../errors.js';
import { LANGS, type Lang, loadTranslator, localeLang } from '../messages/lang.js';
import { msg } from '../messages/message.js';
import type { CommandName } from '../option-table.js';
import { NODE_VERSIONS, PACKAGE_VERSION } from '../package.js';
import { learnSecrets } from '../secrets.js';
import { compareVersions, parseVersion, type Version } from '../version.js';
import { type CliContext, type FolderCommand, runCommand, type StoreCommand } from './cli.js';
import { CHANGE_COMMANDS } from './commands/change.js';
import { PROJECT_COMMANDS } from './commands/project.js';
import { READ_COMMANDS } from './commands/read.js';
import { errorLines, printCauses } from './error-output.js';
import { asRunnable, type HintContext } from './hints.js';
import { refuseNpmKeptOptions } from './npm-swallowed.js';
import { addFlags, type CliOptions, type Embedding, given, usageError } from './options.js';
import { printLines, toJson, withSafeStreams } from './print.js';

const NAME = 'umzug-backfill';

const { up, deploy, down, backfill, restore } = CHANGE_COMMANDS;
const { status, pending, executed, verify, report, skips } = READ_COMMANDS;

/** The commands by name, in the order of the help. */
const COMMANDS: Readonly<Record<CommandName, StoreCommand | FolderCommand>> = {
  ...{ up, deploy, down, status, pending, executed, verify, report, backfill, restore, skips },
  ...PROJECT_COMMANDS,
};

/** Returns commander's program. `run` is called with the command of the arguments. */
function buildProgram(
  { stdout, embedding }: CliContext,
  run: (name: CommandName, options: CliOptions, args: readonly string[]) => Promise<void>,
): Command {
  const name = embedding?.program ?? NAME;
  const program = new Command(name)
    .description('Resumable, verified, exactly reversible data backfills as steps of umzug')
    .version(PACKAGE_VERSION)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 work pending (--check), 4 another run\nholds the lock, 5 verification failed, 130/143 stopped by SIGINT/SIGTERM. Each command has --help with an example.',
    );
  for (const [command, { description, argument, example }] of Object.entries(COMMANDS)) {
    const added = addFlags(program.command(command).description(description));
    if (argument) added.argument(...argument);
    added
      .addHelpText('after', `\nExample:\n  ${NAME} ${example}`)
      .action(async () => await run(command as CommandName, added.opts(), added.args));
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().allowExcessArguments(false);
    command.configureOutput({
      writeOut: (text) => {
        const named = text.trimEnd().replace(/\bumzug-backfill(?![\w.-])/g, () => name);
        printLines(stdout, named.split('\n'));
      },
      writeErr: () => undefined, // commander's texts are printed as errors of this package
      getOutHelpWidth: () => 100,
    });
  }
  return program;
}

function langOf(argv: readonly string[], env: NodeJS.ProcessEnv): Lang {
  const requested = given(argv, '--lang');
  return LANGS.find((lang) => lang === requested) ?? localeLang(env);
}

/**
 * Refuses a Node version older than the minimum of its major version. A major version that `engines` does not list, such as a
 * newer one, is accepted.
 *
 * @throws {BackfillError} `NODE_TOO_OLD`
 */
function requireNode(): void {
  const own = numbersOf(process.versions.node);
  const oldest = NODE_VERSIONS.split('||').map(numbersOf);
  const [first = own] = oldest;
  const least = oldest.find(([line]) => line === own[0]) ?? first;
  if (compareVersions(own, least) >= 0) return;
  throw new BackfillError(
    'NODE_TOO_OLD',
    msg('Node {node} is too old: this program requires {versions}', {
      node: process.versions.node,
      versions: NODE_VERSIONS,
    }),
    msg('Install a supported Node, then recompile the SQLite driver: npm rebuild better-sqlite3'),
  );
}

const numbersOf = (text: string): Version => parseVersion(text.trim().replace('^', '')) ?? [];

/**
 * Runs the command line.
 *
 * @param argv arguments after the program's name
 * @returns the exit code; never throws
 */
export async function main(argv: readonly string[], streams: CliContext): Promise<number> {
  learnSecrets(argv, streams.env);
  const context = withSafeStreams(streams);
  const dbPath = given(argv, '--db-path');
  let hints: HintContext = { dbPath, backupDir: given(argv, '--backup-dir'), store: dbPath };
  const setHintContext = (found: HintContext): void => {
    hints = found;
  };
  const toRunnable = (text: string): string =>
    asRunnable(text, context.env, { ...hints, program: context.embedding?.program });
  try {
    requireNode();
    let exitCode: number = EXIT.done;
    const program = buildProgram(context, async (name, options, args) => {
      exitCode = await runCommand(COMMANDS[name], {
        name,
        options,
        args,
        context,
        argv,
        setHintContext,
        toRunnable,
      });
    });
    refuseNpmKeptOptions(argv, context.env, Object.keys(COMMANDS));
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done; // --help, --version
    const known = error instanceof CommanderError ? usageError(error, argv) : rootBackfillError(error);
    context.onError?.(known);
    printCauses(known, argv, context);
    if (argv.includes('--json')) context.stdout.write(toJson({ error: known }, toRunnable));
    else {
      const translate = await loadTranslator(langOf(argv, context.env));
      printLines(context.stderr, errorLines(known, translate).map(toRunnable));
    }
    return known.exitCode;
  }
}

/**
 * Runs the command line in this process, with its environment, folder and streams.
 *
 * @param argv arguments after the program's name
 * @param embedding project of an embedding program. Default: that of the config file in the current folder
 * @returns the exit code; never throws
 */
export async function runInProcess(argv: readonly string[], embedding?: Embedding): Promise<number> {
  // A reader such as `head` may close the pipe early: that is not a failure.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  return await main(argv, {
    env: process.env,
    folder: process.cwd(),
    get stdin() {
      return process.stdin; // opened only for a confirmation
    },
    stdout: process.stdout,
    stderr: process.stderr,
    ...(embedding ? { embedding } : { ownsProcess: true }),
  });
}
