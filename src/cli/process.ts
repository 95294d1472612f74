import { main } from './main.js';
import type { Embedding } from './options.js';

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
