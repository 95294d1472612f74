import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import { classOf, framesOf, messageOf } from '../thrown.js';
import type { CliContext } from './cli.js';
import { given } from './options.js';
import { printLines } from './print.js';

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
