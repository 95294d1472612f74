import { Command, CommanderError, InvalidArgumentError, type Option } from 'commander';
import { BackfillError, EXIT, rootBackfillError } from '../errors.js';
import { LANGS, type Lang, loadTranslator, localeLang } from '../messages/lang.js';
import { msg } from '../messages/message.js';
import { requireNode } from '../node.js';
import { PACKAGE_VERSION } from '../package.js';
import { learnSecrets } from '../secrets.js';
import { printCauses } from './causes.js';
import { type CliCallbacks, type CliContext, makeCli } from './cli.js';
import { registerBackfill } from './commands/backfill.js';
import { registerCreate } from './commands/create.js';
import { registerDeploy } from './commands/deploy.js';
import { registerDown } from './commands/down.js';
import { registerInit } from './commands/init.js';
import { registerLint } from './commands/lint.js';
import { registerReport } from './commands/report.js';
import { registerRestore } from './commands/restore.js';
import { registerSkips } from './commands/skips.js';
import { registerExecuted, registerPending, registerStatus } from './commands/status.js';
import { registerUp } from './commands/up.js';
import { registerVerify } from './commands/verify.js';
import { asRunnable, type HintContext } from './hints.js';
import { type KnownOption, refuseNpmKeptOptions } from './npm-swallowed.js';
import { given } from './options.js';
import { printLines, toJson, withSafeStreams } from './print.js';
import { errorJson, errorLines } from './text.js';

const NAME = 'umzug-backfill';

function buildProgram(context: CliContext, callbacks: CliCallbacks, argv: readonly string[]): Command {
  const cli = makeCli(context, callbacks, argv);
  const name = context.embedding?.program ?? NAME;
  const program = new Command(name)
    .description('Resumable, verified, exactly reversible data backfills as steps of umzug')
    .version(PACKAGE_VERSION)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 work pending (--check), 4 another run\nholds the lock, 5 verification failed, 130/143 stopped by SIGINT/SIGTERM. Each command has --help with an example.',
    );
  program.hook('preAction', (_program, command) => cli.begin(command.name()));
  for (const register of [
    registerUp,
    registerDeploy,
    registerDown,
    registerStatus,
    registerPending,
    registerExecuted,
    registerVerify,
    registerReport,
    registerBackfill,
    registerRestore,
    registerSkips,
    registerLint,
    registerInit,
    registerCreate,
  ]) {
    register(program, cli);
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) =>
        printLines(
          context.stdout,
          text
            .trimEnd()
            .replace(/\bumzug-backfill(?![\w.-])/g, () => name)
            .split('\n'),
        ),
      writeErr: () => undefined, // commander's words come back as an error, and are printed as ours
      getOutHelpWidth: () => 100,
    });
    command.allowExcessArguments(false);
  }
  return program;
}

/** Every option of every command, for the trap. */
function trappedOptions(program: Command): KnownOption[] {
  const options = new Map<string, KnownOption>();
  for (const option of program.commands.flatMap((command) => command.options)) {
    const name = option.long?.slice(2) ?? '';
    const takes = (word: string): boolean => canTake(option, word);
    options.set(
      name,
      option.required ? { name, takes } : option.optional ? { name, mayTake: takes } : { name },
    );
  }
  return [...options.values()];
}

function canTake({ argChoices, parseArg }: Option, word: string): boolean {
  if (argChoices) return argChoices.includes(word);
  try {
    parseArg?.(word, undefined);
    return true;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return false;
    throw error;
  }
}

const BAD_VALUE =
  /^option '(--[\w-]+)[^']*' argument '(.*)' is invalid\. (?:Expected|Allowed choices are) (.*)$/s;

/** Commander's words as one sentence of ours. */
function usageError(error: CommanderError, argv: readonly string[]): BackfillError {
  const [, option, value, expected] =
    BAD_VALUE.exec(error.message.replace(/^error: /, '').replace(/\.$/, '')) ?? [];
  const words = argv.filter((word) => !word.startsWith('-'));
  const text =
    option !== undefined
      ? `expected \`${option}\` to be ${/^an? /.test(expected ?? '') ? '' : 'one of '}${expected}, got \`${value}\``
      : error.code !== 'commander.help'
        ? error.message.replace(/^error: /, '')
        : words.length > 1
          ? `unknown command '${words.at(-1)}'`
          : 'no command is given';
  const sentence = text
    .replace(/\.$/, '')
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\. +([A-Z])/g, (_, letter: string) => `: ${letter.toLowerCase()}`);
  return new BackfillError(
    'USAGE',
    sentence.charAt(0).toUpperCase() + sentence.slice(1),
    msg('See umzug-backfill --help, or --help of the command'),
    { cause: error },
  );
}

/** The language that is asked for, or else that of the locale. */
function langOf(argv: readonly string[], env: NodeJS.ProcessEnv): Lang {
  const asked = given(argv, '--lang');
  return LANGS.find((lang) => lang === asked) ?? localeLang(env);
}

/**
 * The command line.
 *
 * @param argv the arguments behind the program's name
 * @returns the exit code; never throws
 */
export async function main(argv: readonly string[], streams: CliContext): Promise<number> {
  learnSecrets(argv, streams.env);
  const context = withSafeStreams(streams);
  let exitCode: number = EXIT.done;
  const dbPath = given(argv, '--db-path');
  let hints: HintContext = { dbPath, backupDir: given(argv, '--backup-dir'), store: dbPath };
  try {
    requireNode();
    const program = buildProgram(
      context,
      {
        exit: (code) => {
          exitCode = code;
        },
        setHintContext: (what) => {
          hints = what;
        },
      },
      argv,
    );
    const names = program.commands.map((command) => command.name());
    refuseNpmKeptOptions(argv, context.env, trappedOptions(program), names);
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done; // --help, --version
    const known = error instanceof CommanderError ? usageError(error, argv) : rootBackfillError(error);
    context.onError?.(known);
    const program = context.embedding?.program;
    const toRunnable = (words: string): string => asRunnable(words, context.env, { ...hints, program });
    printCauses(known, argv, context);
    if (argv.includes('--json')) context.stdout.write(toJson({ error: errorJson(known) }, toRunnable));
    else {
      const translate = await loadTranslator(langOf(argv, context.env));
      printLines(context.stderr, errorLines(known, translate).map(toRunnable));
    }
    return known.exitCode;
  }
}
