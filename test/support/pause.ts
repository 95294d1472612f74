import type { ChildProcess } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { CliResult, SpawnOptions } from './cli.js';
import { interruptedAt, type Point } from './failpoints.js';
import { withFolder } from './stores.js';

// Commands that stand still at a point, while a test does to their store, or to them, what it likes.

/** Says that it is there, and waits for the file; gives up after a while, so that a test that fails also ends. */
const WAIT = `echo standing still >&2; n=0
  until [ -e "$0" ] || [ $n -ge 400 ]; do n=$((n + 1)); sleep 0.05; done`;

/** Runs a command that stands still at a point until `act` is done, and then goes on to its end. */
export async function pausedAt(
  args: readonly string[],
  point: Point,
  act: (child: ChildProcess) => Promise<unknown>,
  options: SpawnOptions = {},
): Promise<CliResult> {
  return await withFolder(async (folder) => {
    const goOn = join(folder, 'go-on');
    chmodSync(folder, 0o755); // the command may be another user's
    let acting: Promise<unknown> | undefined;
    const onStderr = (text: string, child: ChildProcess): void => {
      if (!acting && text.includes('standing still')) {
        acting = act(child).finally(() => writeFileSync(goOn, ''));
        acting.catch(() => undefined); // it is awaited below
      }
      options.onStderr?.(text, child);
    };
    const result = await interruptedAt(args, point, ['sh', '-c', WAIT, goOn], { ...options, onStderr });
    const missed = `the command never came to ${JSON.stringify(point)}: ${result.stderr}`;
    expect(acting, missed).not.to.equal(undefined);
    await acting;
    return result;
  });
}

/** Where a command has just taken the run lock, and has not looked at the store again. */
export const LOCKED: Point = { at: 'lock', detail: 'taken' };

/** Waits until a process has ended; to be called before it can have. */
export const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => child.once('exit', () => resolve()));
