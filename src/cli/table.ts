import { scrub } from '../secrets.js';
import { visible } from '../visible.js';
import type { Line, Lines, Table } from './print.js';

const EAST_ASIAN_WIDE =
  '[\\p{Script=Han}\\p{Script=Hangul}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Emoji_Presentation}\\u3000-\\u303f\\uff01-\\uff60]';

/** A character that takes two places in a terminal. */
const WIDE_CHARACTER = new RegExp(EAST_ASIAN_WIDE, 'gu');

/** A part of a text without a line break in it: a wide character or a word, with the punctuation that may not begin or end a line; or spaces. */
const UNIT = new RegExp(
  `（*(?:${EAST_ASIAN_WIDE}|(?:(?!${EAST_ASIAN_WIDE})\\S)+)[，。；：、）！？]*|\\s+`,
  'gu',
);

/** Spaces of a cell: one on each side of its text. */
const PADDING = 2;

/** Returns the number of places that a text takes in a terminal. */
export const displayWidth = (text: string): number =>
  [...text].length + (text.match(WIDE_CHARACTER)?.length ?? 0);

/**
 * Returns the lines of a table.
 *
 * @param render renders a line of a cell
 * @param columns width of the terminal in characters; undefined without one
 */
export function drawTable(
  { heads, rows, widths }: Table,
  render: (line: Line) => string,
  columns: number | undefined,
): Lines {
  const taken = widths?.reduce((sum, width) => sum + width, heads.length + 1) ?? 0;
  const limits = widths && [...widths, remainingWidth(taken, columns)].map((width) => width - PADDING);
  const cells = [heads, ...rows].map((row) =>
    row.map((cell, i) => {
      const given = [cell].flat().filter((line) => line !== false && line !== undefined);
      const lines = given.map((line) => visible(scrub(render(line))));
      return limits ? lines.flatMap((line) => wrap(line, limits[i] ?? 0)) : lines;
    }),
  );
  const widest = (i: number): number =>
    cells.reduce((most, row) => Math.max(most, ...(row[i] ?? []).map(displayWidth)), 0);
  const inner = limits ?? heads.map((_, i) => widest(i));
  const drawn = cells.map((row) =>
    Array.from({ length: Math.max(...row.map(({ length }) => length)) }, (_, n) => {
      const parts = inner.map((width, i) => padded(row[i]?.[n] ?? '', width));
      return `│ ${parts.join(' │ ')} │`;
    }),
  );
  const rule = (left: string, middle: string, right: string): string =>
    `${left}${inner.map((width) => '─'.repeat(width + PADDING)).join(middle)}${right}`;
  const [top = [], ...others] = drawn;
  return [rule('┌', '┬', '┐'), ...top, rule('├', '┼', '┤'), ...others.flat(), rule('└', '┴', '┘')];
}

const padded = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - displayWidth(text)));

/** Returns the width of the last column: what the other columns and the rules leave, from 30 to 90; 90 without a terminal. */
const remainingWidth = (taken: number, columns: number | undefined): number =>
  Math.max(30, Math.min(90, (columns || 200) - taken)); // some terminals say 0

/** Breaks a text into lines of a width: between words and between any two wide characters, and within a word that is wider. */
function wrap(text: string, width: number): string[] {
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
