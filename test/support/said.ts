import { main } from '../../src/cli/main.js';
import type { BackfillError } from '../../src/index.js';
import { collector, root } from './cli.js';

/** What the command line tells of a call, in an environment of these variables alone. */
export async function toldOf(args: readonly string[], env: NodeJS.ProcessEnv = {}, error?: BackfillError) {
  const output = collector();
  const loadMigrator = async (): Promise<never> => {
    throw error;
  };
  const embedding = error ? { embedding: { program: 'umzug-backfill', loadMigrator } } : {};
  await main(args, { env, folder: root, stdout: output, stderr: output, ...embedding });
  return output.text;
}
