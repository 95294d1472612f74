import Database from 'better-sqlite3';

// Another program that writes: one row every so many milliseconds, until it is told to end. Prints its latencies as JSON.

const [path, everyMs] = [String(process.argv[2]), Number(process.argv[3])];
const db = new Database(path, { timeout: 5000, fileMustExist: true });
const insert = db.prepare(
  `INSERT INTO task_audits (task_id, event_type, payload) VALUES ('task_000000', 'repo_commit', '{}')`,
);
const latencies: number[] = [];
let busy = 0;

function write(): void {
  const startedAt = performance.now();
  try {
    insert.run();
  } catch (error) {
    if (!String((error as { code?: string }).code).startsWith('SQLITE_BUSY')) throw error;
    busy += 1;
  }
  latencies.push(performance.now() - startedAt);
}

const timer = setInterval(write, everyMs);
process.on('SIGTERM', () => {
  clearInterval(timer);
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.ceil(share * latencies.length) - 1] ?? 0;
  db.close();
  console.log(JSON.stringify({ inserts: latencies.length, p50: at(0.5), p99: at(0.99), max: at(1), busy }));
});
