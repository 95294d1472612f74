import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { before } from 'mocha';
import { generateStore } from '../../demo/store-generator.js';
import { type CliResult, expectRefusal, runCli, snapshotFiles, spawnCli, useFolder } from './cli.js';

// The command line on stores of the repository's own project, in each journal mode.

/** Runs commands on one store; each must end with 0 unless another code is expected. */
export function on(store: string) {
  const run = async (args: readonly string[], code = 0): Promise<CliResult> => {
    const result = await runCli([...args, '--db-path', store]);
    expect(result.code, `${args.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(code);
    return result;
  };
  return {
    run,
    /** As `run`, and the store's files must be as they were. */
    look: async (args: readonly string[], code = 0): Promise<CliResult> => {
      const result = await look(store, args);
      expect(result.code, `${args.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(code);
      return result;
    },
  };
}

export type Mode = 'wal' | 'delete';
export const modes: readonly Mode[] = ['wal', 'delete'];

/** Commands that only look; on a v20 store the second refuses since there is nothing to verify. */
export const looks: readonly (readonly string[])[] = [
  ['status'],
  ['verify'],
  ['up', '--dry-run'],
  ['pending'],
  ['skips', '--json'],
];

/** As {@link looks}, with the commands that look before they write. */
export const lookFirst = [...looks, ['up'], ['up', '--json'], ['down'], ['backfill']];

/** Copies of one v20 store in each journal mode, each in a folder of its own. */
export function useStores() {
  const folder = useFolder();
  let copies = 0;
  before(() => {
    for (const journalMode of modes)
      generateStore({ path: folder.file(journalMode), audits: 400, journalMode });
  });
  return (mode: Mode): string => {
    copies += 1;
    const own = folder.file(`copy-${copies}`);
    mkdirSync(own);
    copyFileSync(folder.file(mode), join(own, 'store.db'));
    return join(own, 'store.db');
  };
}

/** Runs one command, and insists that it leaves the store and what stands beside it as it was. */
export async function look(store: string, command: readonly string[], prefix?: readonly string[]) {
  const before = snapshotFiles(store);
  const args = [...command, '--db-path', store];
  const result = await (prefix ? spawnCli(args, { prefix }) : runCli(args));
  expect(snapshotFiles(store), `${command.join(' ')}: ${result.stderr}`).to.deep.equal(before);
  return result;
}

/** Insists that a command that only looks has done so. */
export function expectLooked(command: readonly string[], result: CliResult): void {
  if (command[0] === 'verify') expectRefusal(result, 'STEP_NOT_APPLIED', 1);
  else expect(result.code, result.stderr).to.equal(0);
}

/** Runs the SQL that is its second argument on the store that is the first, and keeps its connection until it is killed. */
export const WRITER = `
  const Database = require('better-sqlite3');
  const db = new Database(process.argv[1]);
  db.exec(process.argv[2]);
  console.log('ready');
  setInterval(() => db.inTransaction, 1e6);`;
