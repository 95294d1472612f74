import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { classOf, framesOf, messageOf } from '../thrown.js';
import type { CliContext } from './cli.js';
import { given } from './options.js';
import { printLines } from './print.js';

/** What is told of an error beside itself: what caused it. */

/** Why messages of errors, which may quote rows, are not shown; undefined if they may be. */
const whyHidden = ({ env, stderr }: CliContext): string | undefined =>
  env.CI ? 'CI is set' : stderr.isTTY ? undefined : 'the log goes to no terminal';

/**
 * Refuses `--show-values` where what it shows would be kept.
 *
 * @throws {BackfillError} `USAGE`
 */
export function requireTerminal(context: CliContext): void {
  const why = whyHidden(context);
  if (why === undefined) return;
  throw new BackfillError(
    'USAGE',
    msg('--show-values may show contents of rows, and {why}', { why }),
    msg('Run the command at a terminal, or leave the option out; testBackfill() shows them of its own rows'),
  );
}

/**
 * Prints an error's causes to stderr, before the error itself, whose hint comes last: with `--log-level debug` the class and the stack of the error and each cause, with `--show-values` messages of
 * those that are not this package's own.
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
