import type { BackfillError, ErrorCode } from '../errors.js';
import type { Translate } from '../messages/lang.js';
import { msg } from '../messages/message.js';
import { visible } from '../visible.js';
import type { CliContext } from './cli.js';
import type { CliOptions } from './options.js';
import { errorLines } from './text.js';

/** Codes of refusals, before anything is written, that a confirmation can lift. */
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
 * Asks on the terminal whether to continue in spite of a refusal that `--yes` would lift. Without a terminal, with `--json` and under `CI`
 * the answer is no.
 *
 * @returns whether the user agreed
 */
export async function confirm(
  error: BackfillError,
  { json, confirmed }: CliOptions,
  { env, stdin, stderr }: Pick<CliContext, 'env' | 'stdin' | 'stderr'>,
  translate: Translate,
): Promise<boolean> {
  const isLifted = CONFIRMABLE.includes(error.code) && error.hint.includes('--yes') && !confirmed;
  const isInteractive = stdin?.isTTY && stderr.isTTY && !json && !env.CI;
  if (!isLifted || !isInteractive) return false;
  const { createInterface } = await import('node:readline/promises'); // late, so that a Node without it is reported as too old
  // Not `terminal`, so that line editing is the terminal's, and Ctrl-C ends the process.
  const lines = createInterface({ input: stdin, output: stderr, terminal: false });
  const end = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
  const question = [...errorLines(error, translate), `${translate(msg('Continue anyway? [y/N]'))} `]
    .map(visible)
    .join('\n');
  const answer = await Promise.race([lines.question(question), end]);
  lines.close();
  return /^y(?:es)?$/i.test(answer.trim());
}
