import { spawnSync } from 'node:child_process';
import { bin, cleanEnv, root } from './cli.js';

/** Exit codes with which the terminal ends when its command was killed, or interrupted: Python's -9 and -2. */
const KILLED: ReadonlySet<number> = new Set([247, 254]);

const PYTHON = `
import fcntl, os, pty, struct, sys, termios
columns, answer, when = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[4], sys.argv[4:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
seen = b''
while True:
    if answer and when in seen:
        os.write(terminal, answer)
        answer = b''
    try:
        data = os.read(terminal, 65536)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
    seen += data
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`;

/** Whether commands can be run on a terminal here: python3 makes it. Says so where they can't. */
export function hasTerminal(): boolean {
  const has = spawnSync('python3', ['--version']).status === 0;
  if (!has) console.log('      skipped: python3, which makes the terminal, is not installed');
  return has;
}

/**
 * Runs the command line on a terminal of its own, in a home folder that is empty; `answer` is what a person types, once `when` is to be
 * seen (default: at once). Its output has the escapes, too.
 */
export function onTerminal(
  args: readonly string[],
  home: string,
  {
    columns = 80,
    answer = '',
    when = '',
    env = {},
  }: { columns?: number; answer?: string; when?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const [file = '', ...rest] = terminalCommand(args, columns, answer, when);
  const { stdout, status, signal } = spawnSync(file, rest, {
    cwd: root,
    env: { ...cleanEnv(home), CI: '', TERM: 'xterm', ...env },
    encoding: 'utf8',
    timeout: 60_000, // what does not end is a failure, and not of the tests behind it
    killSignal: 'SIGKILL',
  });
  const isKilled = KILLED.has(status ?? 0) || signal !== null;
  return { code: isKilled ? null : status, signal, output: stdout };
}

/** What runs the command line on a terminal of its own, and writes to stdout what that shows. */
export const terminalCommand = (
  args: readonly string[],
  columns: number,
  answer = '',
  when = '',
): readonly string[] => terminalOf([process.execPath, bin, ...args], columns, answer, when);

/** What runs any command on a terminal of its own. */
export const terminalOf = (
  command: readonly string[],
  columns: number,
  answer = '',
  when = '',
): readonly string[] => ['python3', '-c', PYTHON, String(columns), answer, when, ...command];

/** What a terminal does with the output: text, line feeds, and the escapes that move the cursor within a line or clear it. */
const PIECES = /\n|\r|\u001b\[([\d;?]*)([A-Za-z])|\u001b[78]|[^\n\r\u001b]+/g;

/** What of a terminal's output is still to be seen when it ends, colours left out; lines that are too long do not wrap. */
export function screenOf(output: string): string {
  const lines: string[][] = [[]];
  let column = 0;
  for (const [piece, parameter, command] of output.matchAll(PIECES)) {
    const line = lines.at(-1) as string[];
    if (piece === '\n') {
      lines.push([]);
      column = 0;
    } else if (piece === '\r') column = 0;
    else if (command === 'G') column = Number(parameter || 1) - 1;
    else if (command === 'K' && parameter === '2') line.length = 0;
    else if (command === 'K') line.length = Math.min(line.length, column);
    else if (!piece.startsWith('\u001b')) {
      for (const sign of piece) {
        while (line.length < column) line.push(' ');
        line[column] = sign;
        column += 1;
      }
    }
  }
  return lines.map((line) => line.join('')).join('\n');
}
