/** A word as a shell takes it: in single quotes where it holds more than letters, digits and a few signs. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
