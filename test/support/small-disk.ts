import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmdirSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before } from 'mocha';

/**
 * What mounts small disks, which are unmounted after each test. Where this user may not mount, or there is no tmpfs, the tests
 * of the enclosing `describe` are skipped: a page limit would do no better, since it is a connection's own.
 */
export function useSmallDisks() {
  const mounted: string[] = [];
  const unmount = (): void => {
    for (const path of mounted.splice(0)) {
      spawnSync('umount', [path]);
      rmdirSync(path);
    }
  };
  const mount = (kilobytes: number): string | undefined => {
    const path = mkdtempSync(join(tmpdir(), 'umzug-backfill-disk-'));
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k,mode=755`, 'none', path]);
    if (status === 0) mounted.push(path);
    else rmdirSync(path);
    return status === 0 ? path : undefined;
  };
  before(function () {
    process.once('exit', unmount); // should the tests be ended from outside
    const isAllowed = mount(64) !== undefined;
    unmount();
    if (isAllowed) return;
    console.log('    skipped: this user may not mount a tmpfs, and no other disk can be filled');
    this.skip();
  });
  afterEach(unmount);
  after(() => process.removeListener('exit', unmount));
  return (kilobytes: number) => {
    const path = mount(kilobytes);
    if (path === undefined) throw new Error('Expected to be able to mount another tmpfs');
    const filler = join(path, 'filler');
    return {
      path,
      /** Bytes that are free. */
      free: (): number => {
        const { bavail, bsize } = statfsSync(path);
        return bavail * bsize;
      },
      /** A command that takes up every byte that is free. */
      fill: ['sh', '-c', 'head -c 1G /dev/zero > "$0" 2> /dev/null; true', filler],
      /** Gives them back. */
      clear: (): void => {
        if (!existsSync(filler)) throw new Error('Expected the disk to have been filled');
        rmSync(filler);
      },
    };
  };
}

/** A disk of its own, in memory. */
export type SmallDisk = ReturnType<ReturnType<typeof useSmallDisks>>;
