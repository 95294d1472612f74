import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { requireSqlite } from '../../db/sqlite/statements.js';
import type { Dialect } from '../dialect.js';

/** The first PID namespace of a Linux system. In any other one, `/proc/locks` hides locks of processes outside. */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

/**
 * Checks whether another process has the store open. In WAL mode each open connection holds a lock on the `-shm`, which Linux
 * lists by process in `/proc/locks`.
 *
 * The answer is unknown on other systems, in a container, in rollback mode, if the list does not show this process, and if other
 * code in this process may have connections, which share its lock. Linux returns the list in pieces and may omit a line, so the
 * caller asks again after each batch.
 *
 * @see https://www.sqlite.org/walformat.html section 2.3.2, https://man7.org/linux/man-pages/man5/proc_locks.5.html
 */
export const isOpenElsewhere: Dialect['isOpenElsewhere'] = (store, { ownsProcess = false }) => {
  if (!ownsProcess || process.platform !== 'linux') return undefined;
  const { path } = requireSqlite(store).files;
  try {
    if (readlinkSync('/proc/self/ns/pid') !== FIRST_PID_NAMESPACE) return undefined;
    const holders = lockHolders(`${path}-shm`);
    return holders.has(process.pid) ? holders.size > 1 : undefined;
  } catch {
    return undefined; // no -shm, or no right to read the list
  }
};

/** Returns the processes that hold a lock on a file, without opening it: closing it would drop SQLite's locks. */
function lockHolders(path: string): Set<number> {
  const { dev, ino } = statSync(path);
  // As glibc's major() and minor() split it.
  const parts = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
  const [major, minor] = parts.map((part) => part.toString(16).padStart(2, '0'));
  const lines = readFileSync('/proc/locks', 'utf8').matchAll(
    new RegExp(` (-?\\d+) ${major}:${minor}:${ino} `, 'g'),
  );
  return new Set(Array.from(lines, ([, pid]) => Number(pid)));
}
