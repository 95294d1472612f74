import { join } from 'node:path';
import type { Random } from './random.js';
import type { Command } from './runner.js';

const LOOKS: readonly (readonly string[])[] = [
  ['status'],
  ['status', '--check', '--json'],
  ['pending'],
  ['executed', '--json'],
  ['verify'],
  ['verify', '--json', '--min-coverage', '50'],
  ['up', '--dry-run'],
  ['up', '--dry-run', '--json', '--allow-triggers'],
  ['deploy', '--dry-run'],
  ['down', '--dry-run', '--to', '0'],
  ['backfill', '--dry-run', '--json'],
  ['backfill', '2-fields', '--rescan', '--dry-run'],
  ['skips', '--json'],
  ['lint'],
  ['status', '--lang', 'zh'],
  ['verify', '--lang', 'zh'],
];

const CHANGES: readonly (readonly string[])[] = [
  ['up', '--no-backup', '--allow-triggers', '--yes'],
  ['up', '--allow-triggers', '--yes', '--keep-backups', '1', '--check-backup', 'full'],
  ['up', '--no-backup', '--batch-size', '3', '--json'],
  ['deploy', '--no-backup'],
  ['down', '--no-backup', '--to', '0', '--yes'],
  ['down', '--no-backup'],
  ['backfill', '--no-backup'],
  ['backfill', '2-fields', '--rescan', '--no-backup', '--yes'],
  ['restore', '--yes'],
];

/** Commands on the store of a case: some that only look, then one that may change it, then a look again. */
export function someCommands(random: Random, folder: string): Command[] {
  const path = join(folder, 'store.db');
  const on = (args: readonly string[]): string[] => [
    ...args,
    ...['--db-path', path, '--log-level', random.pick(['silent', 'info', 'debug'])],
  ];
  const look = (): Command => {
    if (random.chance(0.1))
      return {
        argv: on(['report', '--out', join(folder, 'report.html')]),
        looks: true,
        writes: /^report\.html$/,
      };
    return { argv: on(random.pick(LOOKS)), looks: true };
  };
  const change = (): Command => ({
    argv: [...on(random.pick(CHANGES)), '--lock-timeout', '1'],
  });
  const kind = random.below(4);
  if (kind === 0) return [look(), look()];
  if (kind === 1) return [change()];
  if (kind === 2) return [change(), look()];
  return [look(), change()];
}

/** One of the commands that only look. */
export const anyLook = (random: Random, folder: string): Command => ({
  argv: [...random.pick(LOOKS), '--db-path', join(folder, 'store.db'), '--log-level', 'silent'],
  looks: true,
});
