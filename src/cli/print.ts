import { Writable } from 'node:stream';
import { BackfillError } from '../errors.js';
import { english, isMessage, type Message } from '../messages/message.js';
import { scrub } from '../secrets.js';
import { visible, visibleOutput } from '../visible.js';
import type { CliContext, OutputStream, Presenter } from './cli.js';
import { drawTable } from './table.js';

/** A part of a line: a message, or text that is the same in every language. */
type Part = string | Message;

/** A line of a result, from one part or several. */
export type Line = Part | readonly Part[];

/** Lines of a result; what is false or undefined is left out. */
export type ResultLines = readonly (Line | false | undefined)[];

/** A table with a header row. */
export interface Table {
  readonly heads: readonly Part[];
  /** Cells by row: a text, or several lines. */
  readonly rows: readonly (readonly (Part | ResultLines)[])[];
  /**
   * Widths of the columns in characters, except the last, which takes the rest of the terminal; longer text is wrapped. Default: as wide
   * as the text.
   */
  readonly widths?: readonly number[];
}

/** A result for people; what is false or undefined is left out. */
export type ResultText = readonly (Line | Table | false | undefined)[];

/**
 * Text for people, a line each. A line may hold text from anywhere: its line breaks and control characters are printed as escapes, so that it
 * stays one line.
 */
export type Lines = readonly string[];

const isTable = (line: Line | Table): line is Table => typeof line === 'object' && 'heads' in line;

/** Renders a result in the reader's language. */
export function renderLines(
  text: ResultText,
  { translate, columns }: Pick<Presenter, 'translate' | 'columns'>,
): Lines {
  const render = (line: Line): string =>
    [line]
      .flat()
      .map((part: Part) => (typeof part === 'string' ? part : translate(part)))
      .join('');
  return text.flatMap((line) => {
    if (line === false || line === undefined) return [];
    return isTable(line) ? drawTable(line, render, columns) : [render(line)];
  });
}

/** Returns lines that each begin with the same parts. */
export const prefixed = (
  prefix: readonly Part[],
  lines: readonly (Part | false | undefined)[],
): readonly Line[] =>
  lines.flatMap((line) => (line === false || line === undefined ? [] : [[...prefix, line]]));

/** Prints lines. */
export const printLines = (stream: OutputStream, lines: Lines): void => {
  if (lines.length > 0) stream.write(`${lines.map(visible).join('\n')}\n`);
};

/**
 * Returns the JSON of a result, ended by a line break. Bigints are strings, messages are in English, and of an error there is what a program needs.
 *
 * @param toRunnable makes of a hint what can be run
 */
export function toJson(value: unknown, toRunnable: (hint: string) => string): string {
  const jsonPart = (key: string, part: unknown): unknown => {
    if (typeof part === 'bigint') return String(part);
    if (isMessage(part)) return english(part);
    if (key === 'hint' && typeof part === 'string') return toRunnable(part);
    if (!(part instanceof BackfillError)) return part;
    const { code, message, hint, exitCode } = part;
    return { code, message, hint, exitCode };
  };
  return `${JSON.stringify(value, jsonPart, 2)}\n`;
}

/**
 * Returns a stream that writes to another, but no password, and no character that acts on a terminal other than the codes that this program sends
 * to one. Each write must be whole lines, or text of this program's alone.
 */
function safeStream(stream: OutputStream): OutputStream {
  const safe = new Writable({
    decodeStrings: false,
    write(text: string | Buffer, _encoding, done) {
      stream.write(visibleOutput(scrub(String(text)), stream.isTTY === true));
      done();
    },
  });
  return Object.defineProperties(safe, {
    isTTY: { get: () => stream.isTTY },
    columns: { get: () => stream.columns },
  });
}

/** Returns a context whose output goes through {@link safeStream}. Its `stdin` stays a getter, which opens it only for a question. */
export const withSafeStreams = (context: CliContext): CliContext =>
  Object.create(context, {
    stdout: { value: safeStream(context.stdout) },
    stderr: { value: safeStream(context.stderr) },
  });
