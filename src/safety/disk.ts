import { statfsSync, statSync } from 'node:fs';
import { BackfillError } from '../errors.js';
import { type Message, msg, type PlainText } from '../messages/message.js';

/** Disk space that a command needs. */
export interface DiskNeed {
  /** Purpose, such as `the backup`. */
  readonly what: PlainText;
  readonly bytes: number;
  /** A folder on the disk in question. */
  readonly folder: string;
}

/** Formats megabytes, rounded to tenths: needs up, free space down, so that a shortage is visible. */
const megabytes = (bytes: number, round = Math.ceil): string =>
  `${(round(bytes / 1e5) / 10).toLocaleString('en-US')} MB`;

/**
 * Refuses a command for which the disk has too little free space. Needs on one disk add up.
 *
 * @throws {BackfillError} `DISK_SPACE_LOW`
 */
export function requireDiskSpace(needs: readonly DiskNeed[], hint: Message): void {
  const devices = needs.map(({ folder }) => statSync(folder).dev);
  for (const device of new Set(devices)) {
    const onDevice = needs.filter((_, i) => devices[i] === device);
    const folder = onDevice[0]?.folder ?? '';
    const { bavail, bsize } = statfsSync(folder);
    const free = bavail * bsize;
    const needed = onDevice.reduce((sum, { bytes }) => sum + bytes, 0);
    if (free >= needed) continue;
    const parts = onDevice.map(({ what, bytes }) =>
      msg('{size} for {what}', { size: megabytes(bytes), what: msg(what) }),
    );
    throw new BackfillError(
      'DISK_SPACE_LOW',
      msg('The disk of {folder} has {free} free, but {needed} is needed: {parts}', {
        folder,
        free: megabytes(free, Math.floor),
        needed: megabytes(needed),
        parts,
      }),
      hint,
    );
  }
}

/**
 * Network file systems by their number on Linux. SQLite's locks are not reliable there, and a run lock is valid on one machine
 * only.
 *
 * @see https://man7.org/linux/man-pages/man2/statfs.2.html
 * @see https://www.sqlite.org/howtocorrupt.html section 2.1
 */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string | Message> = new Map<number, string | Message>([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9P'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x0bd00bd0, 'Lustre'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x786f4256, msg('a shared folder of VirtualBox')],
]);

/** Returns a warning if the folder is on a network file system. */
export function networkWarnings(folder: string): Message[] {
  const name = process.platform === 'linux' ? NETWORK_FILE_SYSTEMS.get(statfsSync(folder).type) : undefined;
  if (name === undefined) return [];
  return [
    msg(
      '{folder} is on {system}: file locks may not work between machines, so use the store from one machine at a time',
      { folder, system: name },
    ),
  ];
}
