import { statfsSync, statSync } from 'node:fs';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';

/** Disk that something will take. */
export interface DiskNeed {
  /** What for, as "the backup". */
  readonly what: string;
  readonly bytes: number;
  /** A folder on the disk that it will be taken from. */
  readonly folder: string;
}

/** Megabytes, rounded to tenths so that what is missing shows: needs up, what there is down. */
const megabytes = (bytes: number, round = Math.ceil): string =>
  `${(round(bytes / 1e5) / 10).toLocaleString('en-US')} MB`;

/**
 * Refuses to begin what the disk has no room for. Needs on one disk add up.
 *
 * @param hint what to do about it
 * @throws {BackfillError} `DISK_SPACE_LOW`
 */
export function requireDiskSpace(needs: readonly DiskNeed[], hint: string): void {
  const devices = needs.map(({ folder }) => statSync(folder).dev);
  for (const device of new Set(devices)) {
    const onDevice = needs.filter((_, i) => devices[i] === device);
    const folder = onDevice[0]?.folder ?? '';
    const { bavail, bsize } = statfsSync(folder);
    const free = bavail * bsize;
    const needed = onDevice.reduce((sum, { bytes }) => sum + bytes, 0);
    if (free >= needed) continue;
    const parts = onDevice.map(({ what, bytes }) => `${megabytes(bytes)} for ${what}`).join(', ');
    throw new BackfillError(
      'DISK_SPACE_LOW',
      msg('The disk of {folder} has {free} free, and {needed} are needed: {parts}', {
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
 * File systems that reach other machines, by their number on Linux: SQLite's locks can not be relied on there, and a run
 * lock counts on one machine only.
 *
 * @see https://man7.org/linux/man-pages/man2/statfs.2.html
 * @see https://www.sqlite.org/howtocorrupt.html section 2.1
 */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
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
  [0x786f4256, 'a shared folder of VirtualBox'],
]);

/** A warning when the folder lies on a network file system. */
export function networkWarnings(folder: string): string[] {
  const name = process.platform === 'linux' ? NETWORK_FILE_SYSTEMS.get(statfsSync(folder).type) : undefined;
  if (name === undefined) return [];
  return [
    `${folder} lies on ${name}: locks of SQLite and of runs may not hold between machines, so let one machine at a time use the store`,
  ];
}
