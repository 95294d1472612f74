import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach } from 'mocha';
import { type Mode, root, useFolder } from './cli.js';

// Connections of other programs, each in a process of its own: SQLite's locks belong to processes, so that one in the
// process of the tests would prove nothing.

/** Runs the SQL that it is sent; between that it repeats a transaction if it was told one, as fast as it can. */
const PROGRAM = `
  const Database = require(process.argv[3]);
  const db = new Database(process.argv[2], { timeout: 60000 });
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

/** A connection that another process holds open. */
export interface Connection {
  /**
   * Runs one query or a script.
   *
   * @returns the rows of a query, as arrays; rejects with SQLite's code as the message
   */
  run(sql: string): Promise<unknown[][]>;
  /**
   * Repeats a script from now on; '' ends that.
   *
   * @param pauseMs between two times. Default 0
   * @returns how often it has been run
   */
  repeat(sql: string, pauseMs?: number): Promise<number>;
  /** Ends the process by SIGKILL and waits for that; nothing happens when it has been ended. */
  end(): Promise<void>;
}

/**
 * Pause of a writer that writes as fast as it can and lets others have a turn, in milliseconds: locks of SQLite have no
 * queue, and in rollback mode a loop without any pause keeps everybody out, readers too.
 */
export const leastPauseMs = (mode: Mode): number => (mode === 'wal' ? 0 : 1);

/** What opens connections, all of which are ended after each test. */
export function useConnections(): (store: string) => Promise<Connection> {
  const folder = useFolder();
  const opened: Connection[] = [];
  afterEach(() => Promise.all(opened.splice(0).map((connection) => connection.end())));
  return async (store) => {
    const program = folder.file('program.cjs');
    writeFileSync(program, PROGRAM);
    const connection = await open(program, store);
    opened.push(connection);
    return connection;
  };
}

type Answer = { readonly rows: unknown[][] } | { readonly code: string };

async function open(program: string, store: string): Promise<Connection> {
  const child = fork(program, [store, join(root, 'node_modules/better-sqlite3')], { execArgv: [] });
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
    run: (sql) => ask({ sql }),
    repeat: async (sql, pauseMs = 0) => Number((await ask({ loop: sql, pause: pauseMs }))[0]?.[0]),
    end: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}
