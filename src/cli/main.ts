import { Command, CommanderError } from 'commander';
import { EXIT, rootBackfillError } from '../errors.js';
import { LANGS, type Lang, loadTranslator, localeLang } from '../messages/lang.js';
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
import { refuseNpmKeptOptions } from './npm-swallowed.js';
import { given, KNOWN_FLAGS } from './options.js';
import { printLines, toJson, withSafeStreams } from './print.js';
import { errorJson, errorLines } from './text.js';
import { usageError } from './usage.js';

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
    refuseNpmKeptOptions(argv, context.env, KNOWN_FLAGS, names);
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
