import { expect } from 'chai';
import fc from 'fast-check';

// Texts with characters that a terminal acts on, or that a reader does not see, and what no output may hold of them.

/** What output must not hold; line feeds are the program's own, and {@link FORGED} tells when they are not. */
export const HIDDEN = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Begins the line that is forged. */
export const FAKE = 'FAKE';
const FORGED = new RegExp(`^[\\s│]*${FAKE}`, 'm');

const PARTS = [
  ...['\u001b]52;c;UFdORUQ=\u0007', '\u001b[2J', '\u001b[95m', '\u001b]8;;http://evil\u001b\\', '\r', '\r\n'],
  ...['\n', '\u007f', '\u009b31m', '\u009d0;x\u009c', '\u0085', '\u202e', '\u202a', '\u2066', '\u2069'],
  ...['\u200b', '\u200f', '\u2028', '\u2029', '\ufeff', '\u00ad', '\u061c', '\u{e0041}', '\t', '\b'],
  ...[' ', 'x', "'", '"', '\\', '$(x)', '界'],
];

/** Texts of such parts in any order, with a line that looks like one of a result. */
export const hostileTexts = fc
  .array(fc.oneof(fc.constantFrom(...PARTS), fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 12 })
  .map((parts) => `\n${FAKE}: verified\u001b[95m\u202e\u009b${parts.join('')}`);

/** What clears the line of the progress bar. */
const OWN_CODES = /\r\u001b\[2K/g;

/** Insists that output holds nothing that a terminal acts on, except for what the program sends to one itself, and no forged line. */
export function expectSafe(output: string, what: string, { isTerminal = false } = {}): void {
  const left = isTerminal ? output.replaceAll(OWN_CODES, '') : output;
  const [found = ''] = HIDDEN.exec(left) ?? [];
  const name = found && `U+${found.codePointAt(0)?.toString(16)}`;
  expect(name, `${what}\n${JSON.stringify(left)}`).to.equal('');
  expect(output, what).not.to.match(FORGED);
}
