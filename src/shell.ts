import { hasHidden, replaceHidden } from './visible.js';

/** Quotes a word for a POSIX shell, if necessary. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : hasHidden(word) ? printfWord(word) : quoted(word);

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** Returns a command substitution for a word with characters that must not reach a terminal. */
const printfWord = (word: string): string =>
  `"$(printf %b ${quoted(replaceHidden(word.replaceAll('\\', '\\\\'), octal))})"`;

const octal = (run: string): string =>
  [...Buffer.from(run)].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('');
