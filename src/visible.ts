/**
 * Characters that a terminal or a page acts on, or that are invisible: control characters (ESC, CR, NUL, U+0080 to U+009F), those
 * that change the writing direction, those without a width, line and paragraph separators, and lone surrogates.
 */
const HIDDEN = '[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Cs}\\ufffe\\uffff]';

const ALL_HIDDEN = new RegExp(HIDDEN, 'gu');
const RUN = new RegExp(`${HIDDEN}+`, 'gu');

/** Code that this program sends to a terminal: it clears the line of the progress bar. */
const OWN_CODE = '\\r\\u001b\\[2K';

const FOR_FILE = new RegExp(`(?!\\n)${HIDDEN}`, 'gu');
const FOR_TERMINAL = new RegExp(`(${OWN_CODE}|\\n)|${HIDDEN}`, 'gu');

/** Cache of escapes, starting with the short ones. */
const ESCAPES = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

function escaped(sign: string): string {
  let code = ESCAPES.get(sign);
  if (code === undefined) {
    const units = Array.from({ length: sign.length }, (_, i) => sign.charCodeAt(i).toString(16));
    code = units.map((unit) => `\\u${unit.padStart(4, '0')}`).join('');
    ESCAPES.set(sign, code);
  }
  return code;
}

/**
 * Escapes every hidden character of a text, including line breaks, such as `\u001b`. The result is one line that no terminal and
 * no page acts on.
 */
export const visible = (text: string): string => text.replace(ALL_HIDDEN, escaped);

/**
 * Escapes every hidden character of output, except line feeds and, for a terminal, the codes that this program sends. JSON still
 * parses to the same value.
 */
export const visibleOutput = (output: string, isTerminal: boolean): string =>
  isTerminal
    ? output.replace(FOR_TERMINAL, (sign: string, own?: string) => own ?? escaped(sign))
    : output.replace(FOR_FILE, escaped);

/** Whether a text has hidden characters. */
export const hasHidden = (text: string): boolean => text.search(ALL_HIDDEN) >= 0;

/** Replaces each run of hidden characters in a text. */
export const replaceHidden = (text: string, replacement: (run: string) => string): string =>
  text.replace(RUN, replacement);
