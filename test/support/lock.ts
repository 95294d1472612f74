import { spawn } from 'node:child_process';
import { endedAfterEach, root, startScript } from './cli.js';

// Processes that hold the run lock of a store.

/**
 * Signs the file that stands beside the store that is its first argument, and keeps a write transaction on it until it is killed:
 * what docs/how-it-works.md says the lock is.
 */
const HOLDER = `
  const Database = require('better-sqlite3');
  const db = new Database(require('node:fs').realpathSync(process.argv[1]) + '.lock');
  db.exec('CREATE TABLE IF NOT EXISTS holder (token TEXT, pid INTEGER, host TEXT, since TEXT); DELETE FROM holder');
  const since = new Date().toISOString();
  db.prepare('INSERT INTO holder VALUES (?, ?, ?, ?)').run('a holder', process.pid, require('node:os').hostname(), since);
  db.exec('BEGIN IMMEDIATE');
  console.log('ready');
  setInterval(() => db.inTransaction, 1e6);`;

/**
 * Runs a command a number of times on a store with the table `rows`, and writes into the file that is its second argument when
 * its batches begin and when they are verified: both while it has the lock.
 */
const RIVAL = `
  const { appendFileSync } = require('node:fs');
  const [path, file, command, rounds] = process.argv.slice(1);
  const say = (word) => appendFileSync(file, word + ' ' + process.pid + '\\n');
  const load = (module) => import(process.cwd() + '/dist/src/' + module);
  (async () => {
    const [{ main }, { defineBackfill, defineConfig, sql }] = await Promise.all([load('cli/main.js'), load('index.js')]);
    const fill = defineBackfill({ table: 'rows', key: 'id', columns: { filled: sql('id') } });
    const loadMigrator = async () => ({
      project: {
        config: defineConfig({ database: { path }, steps: ['steps'] }),
        steps: [{ ...fill, name: '001-fill', path: '001-fill.js' }],
      },
      path,
      onEvent({ event }) {
        if (event === 'batches_started') say('in');
        if (event === 'verified') say('out');
      },
    });
    const args = [command, '--no-backup', '--log-level', 'silent', ...(command === 'up' ? [] : ['--rescan'])];
    for (let round = 0; round < Number(rounds); round += 1) {
      const { env, stdout, stderr } = process;
      const context = { env, folder: process.cwd(), stdout, stderr, embedding: { program: 'rival', loadMigrator } };
      process.exitCode ||= await main([...args, '--json', '--db-path', path], context);
    }
  })();`;

/** What starts processes that hold the lock of a store, and waits until they do; all of them are ended after each test. */
export const useHolders = () => endedAfterEach((store: string) => startScript(HOLDER, store));

/** Starts a process that runs a command on a store so many times, taking and giving back the lock; resolves with its exit code. */
export function runRival(store: string, file: string, command: 'up' | 'backfill', rounds = 1) {
  const child = spawn(process.execPath, ['-e', RIVAL, store, file, command, String(rounds)], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return new Promise((resolve) => child.once('close', resolve));
}
