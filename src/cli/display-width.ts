const EAST_ASIAN_WIDE =
  '[\\p{Script=Han}\\p{Script=Hangul}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Emoji_Presentation}\\u3000-\\u303f\\uff01-\\uff60]';

/** A character that takes two places in a terminal. */
const WIDE_CHARACTER = new RegExp(EAST_ASIAN_WIDE, 'gu');

/** A part of a text without a line break in it: a wide character or a word, with the punctuation that may not begin or end a line; or spaces. */
const UNIT = new RegExp(
  `（*(?:${EAST_ASIAN_WIDE}|(?:(?!${EAST_ASIAN_WIDE})\\S)+)[，。；：、）！？]*|\\s+`,
  'gu',
);

/** Returns the number of places that a text takes in a terminal. */
export const displayWidth = (text: string): number =>
  [...text].length + (text.match(WIDE_CHARACTER)?.length ?? 0);

/**
 * Returns the lines of a text that is to fit in a width: broken between words and between any two wide characters, and within a word that is wider.
 *
 * @param width places of a line
 */
export function wrap(text: string, width: number): string[] {
  if (displayWidth(text) <= width) return [text];
  const lines: string[] = [];
  let last = '';
  for (const unit of text.match(UNIT) ?? []) {
    const pieces =
      displayWidth(unit) > width ? (unit.match(new RegExp(`.{1,${width}}`, 'gu')) ?? []) : [unit];
    for (const piece of pieces) {
      if (last !== '' && displayWidth(last) + displayWidth(piece.trimEnd()) > width) {
        lines.push(last.trimEnd());
        last = piece.trimStart();
      } else {
        last += piece;
      }
    }
  }
  return [...lines, last];
}
