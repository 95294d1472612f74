import { Command, CommanderError } from 'commander';
import { BackfillError, EXIT, rootBackfillError } from '../errors.js';
import { PACKAGE_VERSION } from '../ledger/version.js';
import { makeCli, type Surroundings, toJson } from './cli.js';
import { registerBackfill } from './commands/backfill.js';
import { registerDown } from './commands/down.js';
import { registerSkips } from './commands/skips.js';
import { registerExecuted, registerPending, registerStatus } from './commands/status.js';
import { registerUp } from './commands/up.js';
import { registerVerify } from './commands/verify.js';
import { refuseNpmKeptOptions, type TrappedOption } from './npm-trap.js';
import { errorJson, errorText } from './text.js';

function buildProgram(surroundings: Surroundings, exit: (code: number) => void): Command {
  const cli = makeCli(surroundings, exit);
  const program = new Command('umzug-backfill')
    .description('Resumable, verified, exactly reversible data backfills as steps of umzug')
    .version(PACKAGE_VERSION)
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 work pending (status --check), 5 verification failed,\n130/143 stopped by SIGINT/SIGTERM. Each command has --help with an example.',
    );
  for (const register of [
    registerUp,
    registerDown,
    registerStatus,
    registerPending,
    registerExecuted,
    registerVerify,
    registerBackfill,
    registerSkips,
  ]) {
    register(program, cli);
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => surroundings.print(text.trimEnd()),
      writeErr: () => undefined, // commander's words come back as an error, and are printed as ours
      getOutHelpWidth: () => 100,
    });
    command.allowExcessArguments(false);
  }
  return program;
}

/** Every option of every command, for the trap. */
function trappedOptions(program: Command): TrappedOption[] {
  const options = new Map<string, TrappedOption>();
  for (const command of program.commands) {
    for (const { long, required } of command.options) {
      const name = long?.slice(2);
      if (name !== undefined) options.set(name, { name, takesValue: required });
    }
  }
  return [...options.values()];
}

function usageError(error: CommanderError): BackfillError {
  const text = error.message
    .replace(/^error: /, '')
    .replace(/\.$/, '')
    .replace(/\s*\n\s*/g, ' ');
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return new BackfillError('USAGE', sentence, 'See umzug-backfill --help, or --help of the command', {
    cause: error,
  });
}

/**
 * The command line.
 *
 * @param argv the arguments behind the program's name
 * @returns the exit code; never throws
 */
export async function main(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  let exitCode: number = EXIT.done;
  try {
    const program = buildProgram(surroundings, (code) => {
      exitCode = code;
    });
    refuseNpmKeptOptions(argv, surroundings.env, trappedOptions(program));
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.done; // --help, --version
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    const known = error instanceof CommanderError ? usageError(error) : rootBackfillError(error);
    if (argv.includes('--json')) surroundings.print(toJson({ error: errorJson(known) }));
    else surroundings.printError(errorText(known));
    return known.exitCode;
  }
}
