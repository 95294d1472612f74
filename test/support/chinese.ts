import { expect } from 'chai';
import type { CliResult } from './cli.js';

// What a person reads, of the compiled command line, in Simplified Chinese: nothing of it may be left in English.

export const HAN = /\p{Script=Han}/u;

/**
 * What is no English sentence though it has words: commands with their options, statements, paths, names, code, the log.
 * What stays is text; three English words in a row in it were not translated.
 */
const NO_TEXT = [
  /^\{.*\}$/gm, // a line of the log
  /`[^`\n]*`/g,
  /^ {2}(?:ALTER|CREATE|INSERT|DROP|UPDATE|DELETE) .*?(?= {3}（|$)/gm,
  /umzug-backfill (?:[a-z]+ )?(?:[\x21-\x7e]+ )*[\x21-\x7e]+/g,
  /(?:sqlite3|npm|lsof|chmod|mkdir|touch|rm) (?:[\x21-\x7e]+ )*[\x21-\x7e]+/g,
  /(?:[\w.-]*\/)+[\w.-]*/g,
  /--[a-z][\w-]*(?: (?:[A-Z]+|\d+|full))?/g,
];

function englishIn(text: string): string[] {
  const rest = NO_TEXT.reduce((left, pattern) => left.replace(pattern, ' · '), text);
  return rest.match(/[A-Za-z]{2,},? [a-z]{2,},? [a-z]{2,}[^\n]*/g) ?? [];
}

/** Insists that all that is told is Chinese. */
export function expectChinese({ stdout, stderr }: Pick<CliResult, 'stdout' | 'stderr'>): void {
  const told = `${stdout}${stderr.replace(/^\{.*\}$/gm, '')}`;
  expect(told).to.match(HAN);
  expect(englishIn(told), told).to.deep.equal([]);
}

/** The commands that a text names, to be copied. */
export const commandsIn = (text: string): string[] =>
  [...text.matchAll(/(?:umzug-backfill|npm run|sqlite3|chmod|mkdir) (?:[\x21-\x3a\x3c-\x7e]+ ?)+/g)].map(
    ([command]) => command.replace(/[ ,.]+$/, ''),
  );

/** Insists that the commands of a Chinese text stand in the English one, each as often. */
export function expectSameCommands(chinese: string, english: string): void {
  for (const command of commandsIn(chinese)) expect(english).to.include(command);
  const names = (text: string): string[] =>
    [...text.matchAll(/umzug-backfill [a-z-]+/g)].map(([name]) => name).sort();
  expect(names(chinese)).to.deep.equal(names(english));
}

/** Places that a line takes: two of a wide character. */
export const places = (line: string): number =>
  [...line].length + (line.match(/[\p{Script=Han}\u3000-\u303f\uff01-\uff60]/gu)?.length ?? 0);

export function expectAligned(text: string): void {
  const lines = text.split('\n').filter((line) => /^[┌├│└]/.test(line));
  expect(lines.length).to.be.above(3);
  let width = 0;
  for (const line of lines) {
    if (line.startsWith('┌')) width = places(line);
    expect(places(line), line).to.equal(width);
  }
  expect(text, 'nothing is cut off').not.to.include('…');
}
