import { statSync } from 'node:fs';
import { shellWord } from '../shell.js';
import { entriesOf } from './trust.js';

/** Who this process is: where root has become the owner of the store, not the user who has typed the command. */
export function thisUser(): string {
  const self = process.geteuid?.();
  return self === undefined ? 'this user' : `this user (user id ${self})`;
}

/** The hint with the command that lets this user read and write a file or folder that is there. */
export function howToWrite(path: string): string {
  const self = process.geteuid?.();
  const found = statSync(path);
  const { uid, mode } = found;
  const isFolder = found.isDirectory();
  const file = shellWord(path);
  const chmod = `chmod ${isFolder ? 'u+rwx' : 'u+rw'} ${file}`;
  if (self === undefined || self === uid) return `Give this user write permission: ${chmod}`;
  const needed = isFolder ? 0o700 : 0o600;
  const give = `sudo chown ${self} ${file}${(mode & needed) === needed ? '' : ` && sudo ${chmod}`}`;
  // Root becomes whoever else owns a part of the path.
  const isOwners = [...entriesOf(path)].every(({ stat }) => stat.uid === 0 || stat.uid === uid);
  return isOwners
    ? `Run the command as user id ${uid}, who owns it, or give it to this user: ${give}`
    : `Give it to this user: ${give}`;
}
