import { spawn } from 'node:child_process';
import { endedAfterEach, root } from './cli.js';
import type { Mode } from './on-store.js';

// Connections of other programs, each in a process of its own: SQLite's locks belong to processes, so that one in the
// process of the tests would prove nothing.

/** Runs the SQL that it is sent; between that it repeats a transaction if it was told one, as fast as it can. */
const PROGRAM = `
  const Database = require('better-sqlite3');
  const db = new Database(process.argv[1], { timeout: 60000 });
  let [repeated, pauseMs, commits] = ['', 0, 0];
  function repeat() {
    if (repeated === '') return;
    db.exec(repeated);
    commits += 1;
    if (pauseMs > 0) setTimeout(repeat, pauseMs);
    else setImmediate(repeat);
  }
  process.on('message', ({ sql, loop, pause }) => {
    try {
      if (loop !== undefined) {
        const wasIdle = repeated === '';
        [repeated, pauseMs] = [loop, pause];
        if (wasIdle) repeat();
        process.send({ rows: [[commits]] });
        return;
      }
      const isQuery = /^(?:SELECT|PRAGMA)/i.test(sql);
      if (!isQuery) db.exec(sql);
      process.send({ rows: isQuery ? db.prepare(sql).raw().all() : [] });
    } catch (error) {
      process.send({ code: error.code ?? String(error) });
    }
  });
  process.send({ rows: [] });`;

/**
 * Pause of a writer that writes as fast as it can and lets others have a turn, in milliseconds: locks of SQLite have no
 * queue, and in rollback mode a loop without any pause keeps everybody out, readers too.
 */
export const leastPauseMs = (mode: Mode): number => (mode === 'wal' ? 0 : 1);

/** What opens connections, all of which are ended after each test. */
export const useConnections = () => endedAfterEach(open);

type Answer = { readonly rows: unknown[][] } | { readonly code: string };

/** A connection that another process holds open. */
async function open(store: string) {
  const child = spawn(process.execPath, ['-e', PROGRAM, store], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const answer = (): Promise<unknown[][]> =>
    new Promise((resolve, reject) => {
      const died = (): void => reject(new Error('Expected the other process to live'));
      child.once('close', died);
      child.once('message', (message: Answer) => {
        child.removeListener('close', died);
        if ('rows' in message) resolve(message.rows);
        else reject(new Error(message.code));
      });
    });
  const ask = (question: object): Promise<unknown[][]> => {
    const answered = answer();
    child.send(question);
    return answered;
  };
  await answer();
  return {
    /** Runs one query or a script: gives the rows of a query, as arrays; rejects with SQLite's code as the message. */
    run: (sql: string) => ask({ sql }),
    /** Repeats a script from now on, with a pause between; '' ends that. Gives how often it has been run. */
    repeat: async (sql: string, pauseMs = 0) => Number((await ask({ loop: sql, pause: pauseMs }))[0]?.[0]),
    /** Ends the process by SIGKILL and waits for that; nothing happens when it has been ended. */
    end: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
