import type { BackfillError, ErrorCode } from '../errors.js';
import type { Translate } from '../messages/lang.js';
import { visible } from '../visible.js';
import type { CliContext } from './cli.js';
import type { CliOptions } from './options.js';
import { errorLines } from './text.js';

/** What is refused before anything is written, until a person agrees to it. */
const CONFIRMABLE: readonly ErrorCode[] = [
  'CONFIRMATION_REQUIRED',
  'COLUMN_HAS_VALUES',
  'STEP_DRIFTED',
  'PROCESS_CHANGED',
  'SEARCH_PATH_UNSAFE',
  'SUPERUSER_REFUSED',
  'LEDGER_UNTRUSTED',
  'BACKUP_CHANGED',
  'BACKUP_FOLDER_UNUSABLE',
];

/**
 * Asks on the terminal whether to go on in spite of a refusal that `--yes` would lift. Where no person can answer, as without a
 * terminal, with `--json` or under `CI`, the answer is no.
 *
 * @returns whether a person has agreed
 */
export async function confirm(
  error: BackfillError,
  { json, confirmed }: CliOptions,
  { env, stdin, stderr }: Pick<CliContext, 'env' | 'stdin' | 'stderr'>,
  translate: Translate,
): Promise<boolean> {
  const isLifted = CONFIRMABLE.includes(error.code) && error.hint.includes('--yes') && !confirmed;
  const isSomebodyThere = stdin?.isTTY && stderr.isTTY && !json && !env.CI;
  if (!isLifted || !isSomebodyThere) return false;
  const { createInterface } = await import('node:readline/promises'); // late: a Node without it is to be told that it is too old
  // The terminal keeps its own line editing, in which Ctrl-C ends the process as ever.
  const lines = createInterface({ input: stdin, output: stderr, terminal: false });
  const end = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  const question = [...errorLines(error, translate), `${translate('Go on all the same? [y/N]')} `]
    .map(visible)
    .join('\n');
  const answer = await Promise.race([lines.question(question), end]);
  lines.close();
  return /^y(?:es)?$/i.test(answer.trim());
}
