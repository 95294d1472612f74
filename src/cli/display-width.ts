const EAST_ASIAN_WIDE =
  '[\\p{Script=Han}\\p{Script=Hangul}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Emoji_Presentation}\\u3000-\\u303f\\uff01-\\uff60]';

/** A character that takes the place of two in a terminal. */
const WIDE_CHARACTER = new RegExp(EAST_ASIAN_WIDE, 'gu');

/** What a line is not broken within: a wide character or a word, with the punctuation that may not begin or end a line; spaces. */
const UNIT = new RegExp(
  `（*(?:${EAST_ASIAN_WIDE}|(?:(?!${EAST_ASIAN_WIDE})\\S)+)[，。；：、）！？]*|\\s+`,
  'gu',
);

/** Places that a text takes in a terminal. */
export const displayWidth = (text: string): number =>
  [...text].length + (text.match(WIDE_CHARACTER)?.length ?? 0);

/**
 * Breaks lines that hold wide characters: between any two of them, as there are no spaces. Others stay as they are.
 *
 * @param width places of a line
 */
export function wrapCjk(text: string, width: number): string {
  return text
    .split('\n')
    .map((line) => (line.search(WIDE_CHARACTER) >= 0 ? wrapLine(line, width) : line))
    .join('\n');
}

function wrapLine(line: string, width: number): string {
  const lines: string[] = [];
  let last = '';
  for (const [unit] of line.matchAll(UNIT)) {
    if (last !== '' && displayWidth(last) + displayWidth(unit.trimEnd()) > width) {
      lines.push(last.trimEnd());
      last = unit.trimStart();
    } else {
      last += unit;
    }
  }
  return [...lines, last].join('\n');
}
