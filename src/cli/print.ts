import { Writable } from 'node:stream';
import { english, isMessage } from '../messages/message.js';
import { scrub } from '../secrets.js';
import { visible, visibleOutput } from '../visible.js';
import type { CliContext, OutputStream } from './cli.js';

/**
 * Text for people, a line each. A line may hold text from anywhere: its line breaks and control characters are printed as escapes, so that it
 * stays one line.
 */
export type Lines = readonly string[];

/** Prints lines. */
export const printLines = (stream: OutputStream, lines: Lines): void => {
  if (lines.length > 0) stream.write(`${lines.map(visible).join('\n')}\n`);
};

/**
 * Returns the JSON of a result, ended by a line break. Bigints are strings, and messages are in English.
 *
 * @param toRunnable makes of a hint what can be run
 */
export function toJson(value: unknown, toRunnable: (hint: string) => string): string {
  const json = JSON.stringify(
    value,
    (key, part: unknown) =>
      typeof part === 'bigint'
        ? String(part)
        : isMessage(part)
          ? english(part)
          : key === 'hint' && typeof part === 'string'
            ? toRunnable(part)
            : part,
    2,
  );
  return `${json}\n`;
}

/**
 * Returns a stream that writes to another, but no password, and no character that acts on a terminal other than the codes that this program sends
 * to one. Each write must be whole lines, or text of this program's alone.
 */
export function safeStream(stream: OutputStream): OutputStream {
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
