import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, runCommand } from './cli.js';
import { listening } from './failpoints.js';
import { manifest } from './package.js';
import { timeless } from './screens.js';
import { screenOf, terminalOf } from './terminal.js';

// Follows a page of the documentation as a reader does: writes its files, types its commands, and compares what they print.

const COLUMNS = 80;

/** A line that stands for any number of lines. */
const ELISION = '…';

/** Where Ctrl-C is pressed in a command below which the page has `^C`. */
const MIDDLE = { at: 'statement', detail: 'INSERT INTO temp.umzug_backfill_batch', nth: 3 };
const CTRL_C = ['sh', '-c', 'kill -INT $PPID'];

/** A command of a page, what the page says that it prints, and what it has printed. */
export interface Shown {
  readonly command: string;
  readonly expected: readonly string[];
  readonly printed: readonly string[];
}

/** Makes a folder in which the package and its neighbours are installed, as `npm install` leaves it. */
function installIn(folder: string): void {
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  symlinkSync(root, join(folder, 'node_modules/umzug-backfill'));
  symlinkSync(
    join(root, manifest.bin['umzug-backfill'] ?? ''),
    join(folder, 'node_modules/.bin/umzug-backfill'),
  );
  for (const name of ['umzug', 'better-sqlite3'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
}

/** What npx adds to the environment of a command, which it finds where the PATH has it here. */
const NPX = { npm_command: 'exec', npm_lifecycle_event: 'npx' };

/** Types a command on a terminal; returns its result: the lines on the screen at its end, without the log. */
async function typed(folder: string, command: string, isInterrupted: boolean): Promise<string[]> {
  const env = {
    TERM: 'xterm',
    PATH: `${join(folder, 'node_modules/.bin')}:${process.env.PATH}`,
    ...(command.startsWith('npx ') ? NPX : {}),
  };
  const options = { cwd: folder, env };
  const { code, stdout } = await runCommand(
    terminalOf(['sh', '-c', command.replace(/^npx /, '')], COLUMNS),
    isInterrupted ? listening({ ...MIDDLE, run: CTRL_C }, options) : options,
  );
  const lines = screenOf(stdout)
    .replaceAll(realpathSync(folder), '/srv/shop')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '' && !/^(?:\d\d:\d\d:\d\d {2}|[█░])/.test(line)); // no log, no bar
  return [...(isInterrupted ? ['^C'] : []), ...lines, ...(code === 0 ? [] : [`(exit code ${code})`])];
}

/** The printed lines, shortened where the page has an elision. */
function elided(expected: readonly string[], printed: readonly string[]): readonly string[] {
  const at = expected.indexOf(ELISION);
  if (at < 0) return printed;
  const tail = expected.length - at - 1;
  return [...printed.slice(0, at), ELISION, ...printed.slice(printed.length - tail)];
}

/** Whether a command printed what its page says, but for figures and times. */
export const isAsShown = ({ expected, printed }: Shown): boolean =>
  timeless(expected.join('\n')) === timeless(printed.join('\n'));

/**
 * Follows a page in an empty folder. A block that begins with `// FILE` is that file; one of `console` has commands behind `$ `, each
 * above what it prints. The file `make-shop.mjs` makes the store of the page and is run first.
 *
 * @returns each command in order, and the page with what was printed in the place of what it says
 */
export async function followPage(
  page: string,
  folder: string,
): Promise<{ readonly shown: readonly Shown[]; readonly written: string }> {
  const text = readFileSync(join(root, page), 'utf8');
  installIn(folder);
  const write = (file: string, body: string): void => {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), body);
  };
  const [, seed] = /```js\n(\/\/ make-shop\.mjs\n.*?)```/s.exec(text) ?? [];
  if (seed !== undefined) {
    write('make-shop.mjs', seed);
    await typed(folder, 'node make-shop.mjs', false);
  }
  const shown: Shown[] = [];
  let written = '';
  let copied = 0;
  for (const { index, 1: kind = '', 2: block = '' } of text.matchAll(/```(js|ts|console)\n(.*?)```/gs)) {
    const [, file] = /^\/\/ (\S+\.\w+)\n/.exec(block) ?? [];
    if (file !== undefined) write(file, block);
    if (kind !== 'console') continue;
    const from = index + '```console\n'.length;
    written += text.slice(copied, from);
    copied = from + block.length;
    for (const [, command = '', output = ''] of block.matchAll(/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm)) {
      const expected = output.split('\n').slice(0, -1);
      const all = await typed(folder, command, expected[0] === '^C');
      const printed = elided(expected, all);
      shown.push({ command, expected, printed });
      written += [`$ ${command}`, ...printed, ''].join('\n');
    }
  }
  return { shown, written: written + text.slice(copied) };
}
