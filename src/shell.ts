import { hasHidden, replaceHidden } from './visible.js';

/** A word as a shell takes it: in single quotes where it holds more than letters, digits and a few signs. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : hasHidden(word) ? printfWord(word) : quoted(word);

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** A word with characters that must not reach a terminal, as a command that every POSIX shell replaces with it. */
const printfWord = (word: string): string =>
  `"$(printf %b ${quoted(replaceHidden(word.replaceAll('\\', '\\\\'), octal))})"`;

const octal = (run: string): string =>
  [...Buffer.from(run)].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('');
