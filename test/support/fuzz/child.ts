import { readFileSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { main } from '../../../src/cli/main.js';
import type { Answer, Call } from './runner.js';

// Runs many commands, one behind the other, in one process: a crash, a hang and the memory of one of them are seen by the parent.

const MAX_OUTPUT = 2_000_000;

/** Where the kernel tells the peak of the memory, and where it is set back to what is used now. */
const [STATUS, CLEAR] = ['/proc/self/status', '/proc/self/clear_refs'];

function peakMb(): number {
  const [, kb] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(STATUS, 'utf8')) ?? [];
  return Number(kb) / 1024;
}

function startPeak(): void {
  if (process.memoryUsage.rss() > 130 * 2 ** 20) globalThis.gc?.();
  if (process.platform === 'linux') writeFileSync(CLEAR, '5');
}

let thrown: string[] = [];
const explain = (error: unknown): string => (error instanceof Error ? String(error.stack) : String(error));
process.on('unhandledRejection', (error) => thrown.push(`unhandled rejection: ${explain(error)}`));
process.on('uncaughtException', (error) => thrown.push(`uncaught: ${explain(error)}`));

process.on('message', (call: Call) => void run(call));
process.on('disconnect', () => process.exit());

async function run({ argv, env, folder }: Call): Promise<void> {
  thrown = [];
  process.chdir(folder);
  process.env.HOME = env.HOME;
  const output = { text: '', length: 0 };
  const keep = (): Writable =>
    new Writable({
      decodeStrings: false,
      write(text: string, _encoding, done) {
        output.length += text.length;
        if (output.text.length < MAX_OUTPUT) output.text += text;
        done();
      },
    });
  startPeak();
  let internal: string | undefined;
  const code = await main(argv, {
    env,
    folder,
    stdout: keep(),
    stderr: keep(),
    onError: (error) => {
      if (error.code === 'INTERNAL') internal = `${error.message}: ${explain(error.cause)}`;
    },
  }).catch((error: unknown) => {
    thrown.push(`thrown by main(): ${explain(error)}`);
    return -1;
  });
  await new Promise((resolve) => setImmediate(resolve));
  const answer: Answer = {
    code,
    thrown,
    internal: internal ?? /^INTERNAL: .*$|"code": "INTERNAL"/m.exec(output.text)?.[0],
    output: output.text.slice(0, 2000),
    outputLength: output.length,
    told: /^[A-Z_]{5,}(?=: )/m.exec(output.text)?.[0] ?? '',
    peakMb: process.platform === 'linux' ? peakMb() : 0,
  };
  process.send?.(answer);
}
