import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { root } from './cli.js';

// Another program that writes audits while commands run, as AgentOS does during a deploy: it knows of no new columns, and waits
// 5 seconds for a lock.

/** Inserts 200 rows a second until its standard input ends, then prints the keys, and the codes of what failed. */
const PROGRAM = `
  const Database = require('better-sqlite3');
  const db = new Database(process.argv[1], { timeout: 5000 });
  const insert = db.prepare("INSERT INTO task_audits (task_id, event_type, payload) VALUES ('task_000000', ?, ?)");
  const [keys, failures] = [[], []];
  const startedAt = Date.now();
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
  // What was missed while a lock was waited for is written behind it, a few at a time, so that the end is heard.
  const timer = setInterval(() => {
    for (let n = 0; n < 20 && keys.length + failures.length < (Date.now() - startedAt) / 5; n += 1) write();
  }, 1);
  process.stdin.resume().on('end', () => {
    clearInterval(timer);
    db.close();
    console.log(JSON.stringify({ keys, failures }));
  });`;

/** What another program wrote. */
export interface Written {
  /** Keys of the rows, in order. */
  readonly keys: readonly string[];
  /** Codes of SQLite's for what it could not write. */
  readonly failures: readonly string[];
}

/** Starts the other program; what is returned ends it. */
export function startAuditWriter(store: string): () => Promise<Written> {
  const child: ChildProcess = spawn(process.execPath, ['-e', PROGRAM, store], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const closed = once(child, 'close');
  return async () => {
    child.stdin?.end();
    expect(await closed).to.deep.equal([0, null]);
    return JSON.parse(stdout) as Written;
  };
}
