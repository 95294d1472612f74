/** Texts that sort otherwise in UTF-16, by case, by length, as numbers, or in a language. */
export const TEXTS: readonly string[] = [
  ...['', ' ', '0', '00', '10', '9', 'A', 'Z', 'a', 'a ', 'aa', '-a', 'é', 'z'],
  ...['\u{ff5e}', '\u{1f600}', "it's", "'", '"', '\\'],
];
