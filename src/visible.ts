/**
 * Characters that a terminal or a page acts on, or that cannot be seen: control characters (ESC, CR, NUL, U+0080 to U+009F), those that turn
 * the direction of writing, those without a width, the separators of lines and paragraphs, and halves of characters.
 */
const HIDDEN = '[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Cs}\\ufffe\\uffff]';

const ALL_HIDDEN = new RegExp(HIDDEN, 'gu');
const RUN = new RegExp(`${HIDDEN}+`, 'gu');

/** Codes that this program itself sends to a terminal: colors, the cursor, the progress bar. */
const OWN_CODE = '\\r|\\u001b(?:[78]|\\[(?:\\?(?:7|25)[hl]|[\\d;]*[A-GJKm]))';

const FOR_FILE = new RegExp(`(?!\\n)${HIDDEN}`, 'gu');
const FOR_TERMINAL = new RegExp(`(${OWN_CODE}|\\n)|${HIDDEN}`, 'gu');

/** Escapes that were needed before, and the short ones. */
const ESCAPES = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/** Returns the escape of a character, in the form that JSON has, too. */
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
 * Returns a text in which every hidden character, line breaks included, is an escape such as `\u001b`. The result is one line, and neither a
 * terminal nor a page acts on any part of it.
 */
export const visible = (text: string): string => text.replace(ALL_HIDDEN, escaped);

/**
 * Returns output in which every hidden character is an escape, except for line feeds and, on a terminal, the codes that this program sends. JSON
 * stays equal when it is parsed.
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
