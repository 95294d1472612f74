import { main } from './main.js';
import type { Embedding } from './options.js';

/**
 * Runs the command line in this process, with its environment, folder and streams.
 *
 * @param argv the arguments behind the program's name
 * @param embedding what stands in for a config file. Default: the one in the current folder
 * @returns the exit code; never throws
 */
export async function runInProcess(argv: readonly string[], embedding?: Embedding): Promise<number> {
  // A reader that has seen enough (`| head`) closes the pipe: that is no failure.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  return await main(argv, {
    env: process.env,
    folder: process.cwd(),
    get stdin() {
      return process.stdin; // opened only for a question
    },
    stdout: process.stdout,
    stderr: process.stderr,
    ...(embedding ? { embedding } : { ownsProcess: true }),
  });
}
