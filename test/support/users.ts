import { spawnSync } from 'node:child_process';
import { lchownSync, symlinkSync } from 'node:fs';

// Attacks by another user: files, links and folders of theirs, which it takes root to make.

/** `nobody`, who attacks. */
export const OTHER = 65_534;
/** Users without an entry in the system's list. */
export const [SECOND, GROUP] = [4243, 4242];

/** Put before a command that such a user runs. */
export const as = (uid: number, gid = uid): string[] => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
];

/** Skips what takes several users, where they can't be had. */
export function needUsers(test: Mocha.Context): void {
  const trouble =
    process.getuid?.() !== 0
      ? 'it takes root to be attacked by another user'
      : spawnSync('setpriv', ['--version']).error && 'there is no setpriv to be another user';
  if (!trouble) return;
  console.log(`    skipped: ${trouble}`);
  test.skip();
}

/** Gives files, folders and links themselves to a user. */
export function give(uid: number, ...paths: readonly string[]): void {
  for (const path of paths) lchownSync(path, uid, uid);
}

/** Makes a link that belongs to another user. */
export function plant(target: string, path: string, uid = OTHER): void {
  symlinkSync(target, path);
  give(uid, path);
}
