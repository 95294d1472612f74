import { chmodSync, chownSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { bin, type CliResult, root, runCommand, spawnCli, useFolder } from './cli.js';
import { as, OTHER } from './users.js';

// A service with a store of its own, and a stranger who shares nothing with it but a sticky folder.

export const [SERVICE, STRANGER] = [12_345, OTHER];

/** Runs a line of shell as a user, with the program on the path. */
export const shellAs = (uid: number, line: string, path = ''): Promise<CliResult> =>
  runCommand(['sh', '-c', line], {
    prefix: as(uid),
    env: { PATH: `${path}:${process.env.PATH}` },
    cwd: root,
  });

/** What the stranger does, and must be able to do. */
export async function stranger(line: string): Promise<void> {
  const { code, stderr } = await shellAs(STRANGER, line);
  expect(code, `${line}\n${stderr}`).to.equal(0);
}

/** Stores of the service, each with a sticky folder that every user may write. */
export function useService() {
  const folder = useFolder();
  let count = 0;
  before(() => {
    chmodSync(folder.path, 0o755);
    mkdirSync(folder.file('bin'));
    symlinkSync(bin, join(folder.file('bin'), 'umzug-backfill'));
  });
  return (journalMode: 'wal' | 'delete' = 'delete') => {
    count += 1;
    const home = folder.file(`service-${count}`);
    const shared = folder.file(`shared-${count}`);
    const store = join(home, 'store.db');
    for (const path of [home, shared]) mkdirSync(path);
    chmodSync(shared, 0o1777);
    generateStore({ path: store, audits: 60, journalMode });
    for (const path of [home, store]) chownSync(path, SERVICE, SERVICE);
    chmodSync(home, 0o700);
    chmodSync(store, 0o600);
    const args = ['--db-path', store, '--backup-dir', shared];
    return {
      home,
      shared,
      store,
      args,
      /** Runs a command as the service, with its copies in the shared folder. */
      run: (...words: string[]) => spawnCli([...words, ...args], { prefix: as(SERVICE) }),
      /** Runs a command as the service, with its copies beside the store. */
      alone: (...words: string[]) => spawnCli([...words, '--db-path', store], { prefix: as(SERVICE) }),
      /** Runs a command that was printed, as the service. */
      typed: (line: string) => shellAs(SERVICE, line, folder.file('bin')),
    };
  };
}
export type Service = ReturnType<ReturnType<typeof useService>>;
