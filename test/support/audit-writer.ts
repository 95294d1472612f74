import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { endedAfterEach, root } from './cli.js';

// Another program that writes audits while commands run, as AgentOS does during a deploy: it knows of no new columns, and waits
// 5 seconds for a lock.

/** Inserts 200 rows a second, or what the disk allows, until its standard input ends, then prints the keys, and the codes of what failed. */
const PROGRAM = `
  const Database = require('better-sqlite3');
  const db = new Database(process.argv[1], { timeout: 5000 });
  const insert = db.prepare("INSERT INTO task_audits (task_id, event_type, payload) VALUES ('task_000000', ?, ?)");
  const [keys, failures] = [[], []];
  function write() {
    const n = keys.length + failures.length;
    const time = new Date(1769000000000 + n * 1000).toISOString();
    const payload = JSON.stringify({ decision_id: 'dec_' + n, source_ts: time, timestamp: time });
    try {
      keys.push(String(insert.run(n % 4 === 3 ? 'TASK_STARTED' : 'SUPERVISOR_DECISION', payload).lastInsertRowid));
    } catch (error) {
      failures.push(error.code);
    }
  }
  // With a pause even when it is late: locks of SQLite have no queue, and without one it would keep everybody else out.
  let timer = setTimeout(function next() {
    const begunAt = performance.now();
    write();
    timer = setTimeout(next, Math.max(1, 5 - (performance.now() - begunAt)));
  }, 0);
  process.stdin.resume().on('end', () => {
    clearTimeout(timer);
    db.close();
    console.log(JSON.stringify({ keys, failures }));
  });`;

/** What starts the other program; after each test it is ended by force if it still lives. */
export const useAuditWriters = () =>
  endedAfterEach(async (store: string) => {
    const child = spawn(process.execPath, ['-e', PROGRAM, store], {
      cwd: root,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    const closed = once(child, 'close');
    /** Ends it: gives the keys of the rows that it wrote, in order, and SQLite's codes for what it could not. */
    const stop = async () => {
      child.stdin.end();
      expect(await closed).to.deep.equal([0, null]);
      return JSON.parse(stdout) as { readonly keys: readonly string[]; readonly failures: readonly string[] };
    };
    return { stop, end: async () => void child.kill('SIGKILL') };
  });
