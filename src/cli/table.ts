import { scrub } from '../secrets.js';
import { visible } from '../visible.js';
import { displayWidth, wrap } from './display-width.js';
import type { Lines } from './print.js';

/** A cell of a table: a text, or several lines. */
export type Cell = string | Lines;

/** Spaces of a cell: one on each side of its text. */
const PADDING = 2;

/**
 * Returns the lines of a table with a header row.
 *
 * @param widths width of each column in characters; longer text is wrapped. Default: as wide as the text
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  widths?: readonly number[],
): Lines {
  const cells = [head, ...rows].map((row) =>
    row.map((cell, i) => {
      const lines = [cell].flat().map((line) => visible(scrub(line)));
      return widths ? lines.flatMap((line) => wrap(line, (widths[i] ?? 0) - PADDING)) : lines;
    }),
  );
  const inner = head.map((_, i) =>
    widths
      ? (widths[i] ?? 0) - PADDING
      : cells.reduce((most, row) => Math.max(most, ...(row[i] ?? []).map(displayWidth)), 0),
  );
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

/** Returns the width of a column: what the columns of a terminal leave, from 30 to 90; 90 without a terminal. */
export const remainingWidth = (taken: number, columns?: number): number =>
  Math.max(30, Math.min(90, (columns || 200) - taken)); // some terminals say 0
