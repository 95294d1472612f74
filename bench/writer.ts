import Database from 'better-sqlite3';

// An old release of the application that still writes: one audit in scope every so many milliseconds, until SIGTERM. Prints `ready` after
// the first, and at the end as JSON when each began, when it was committed, and how many were refused.

const [path, everyMs] = [String(process.argv[2]), Number(process.argv[3])];
const db = new Database(path, { timeout: 5000, fileMustExist: true });
const insert = db.prepare(
  `INSERT INTO task_audits (task_id, event_type, payload) VALUES ('task_000000', 'SUPERVISOR_ALLOWED', ?)`,
);
const payload = JSON.stringify({ decision_id: 'dec_0', source_ts: '2026-01-20T10:00:00.000000' });
const now = (): number => performance.timeOrigin + performance.now();
const waits: [from: number, to: number][] = [];
let busy = 0;

function write(): void {
  const from = now();
  try {
    insert.run(payload);
  } catch (error) {
    if (!String((error as { code?: string }).code).startsWith('SQLITE_BUSY')) throw error;
    busy += 1;
  }
  waits.push([from, now()]);
}

write();
console.log('ready');
const timer = setInterval(write, everyMs);
process.on('SIGTERM', () => {
  clearInterval(timer);
  db.close();
  console.log(JSON.stringify({ waits, busy }));
});
