import { BackfillError, type ErrorCode, type ErrorTexts } from '../errors.js';
import { english, type Message, msg, type Translate } from '../messages/message.js';
import { scrub } from '../secrets.js';
import { classOf, framesOf, messageOf } from '../thrown.js';
import { visible } from '../visible.js';
import type { CliContext } from './cli.js';
import { type CliOptions, given } from './options.js';
import { type Lines, printLines } from './print.js';

/** Returns the lines of an error, possibly of another process: code and message, and the hint. */
export function errorLines(
  { code, texts: { message, hint } }: { readonly code: string; readonly texts: ErrorTexts },
  translate: Translate = english,
): Lines {
  const shown = (text: Message): string => visible(scrub(translate(text)));
  return [`${code}: ${shown(message)}${translate(msg('.'))}`, `  → ${shown(hint)}`];
}

/** Returns why messages of errors, which may quote rows, are hidden; undefined if they may be shown. */
const whyHidden = ({ env, stderr }: CliContext): Message | undefined =>
  env.CI ? msg('CI is set') : stderr.isTTY ? undefined : msg('the log does not go to a terminal');

/**
 * Refuses `--show-values` if its output could be kept.
 *
 * @throws {BackfillError} `USAGE`
 */
export function requireTerminal(context: CliContext): void {
  const why = whyHidden(context);
  if (why === undefined) return;
  throw new BackfillError(
    'USAGE',
    msg('--show-values may show contents of rows, and {why}', { why }),
    msg('Run the command on a terminal, or without the option; testBackfill() shows them for its own rows'),
  );
}

/**
 * Prints the causes of an error to stderr, before the error itself, whose hint comes last: with `--log-level debug` class and stack of the
 * error and of each cause; with `--show-values` the messages of errors of other packages.
 */
export function printCauses(error: unknown, argv: readonly string[], context: CliContext): void {
  const isDebug = /^(?:debug|trace)$/.test(given(argv, '--log-level') ?? '');
  const showsValues = argv.includes('--show-values') && whyHidden(context) === undefined;
  const chain: unknown[] = [];
  for (
    let at = error;
    at !== undefined && !chain.includes(at);
    at = at instanceof Error ? at.cause : undefined
  )
    chain.push(at);
  let before = '';
  for (const each of chain) {
    const message = showsValues && !(each instanceof BackfillError) ? `: ${messageOf(each)}` : '';
    if (!isDebug && message === '') continue;
    const places = isDebug ? framesOf(each).map(({ path, line }) => `    at ${path}:${line}`) : [];
    printLines(context.stderr, [`${before}${classOf(each)}${message}`, ...places]);
    before = 'caused by ';
  }
}

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
  { env, stdin, stderr }: CliContext,
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
