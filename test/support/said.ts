import { main } from '../../src/cli/main.js';
import type { BackfillError } from '../../src/index.js';
import { collector, root } from './cli.js';
import { anError } from './errors.js';

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

/** What a person reads for an English text: here, where a command has it as the message of an error. */
export async function said(text: string, lang = 'zh'): Promise<string> {
  const told = await toldOf(['status', '--lang', lang], {}, anError('INTERNAL', text, '-'));
  const [, found] = /^INTERNAL: (.*)[.。]\n {2}→ -\n$/s.exec(told) ?? [];
  if (found === undefined) throw new Error(`Expected the error to be told, got ${told}`);
  return found;
}
