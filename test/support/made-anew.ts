import type { TestStore } from './engine-sqlite.js';
import { asAgentOs } from './stores.js';

// An application that makes its table of audits anew, as migration v24 of AgentOS does: another table with the same rows.

const LOST = `UPDATE task_audits SET source_event_ts = NULL, supervisor_processed_at = NULL`;

/** Makes the table anew, without an index; `lost` are the rows whose v21 columns are NULL then. */
export async function makeAnew(store: TestStore, lost = 'true'): Promise<void> {
  const { path, postgres } = store.address;
  if (postgres) {
    await store.change(`CREATE TEMPORARY TABLE kept AS SELECT * FROM task_audits;
      TRUNCATE task_audits; INSERT INTO task_audits SELECT * FROM kept; DROP TABLE kept;
      DROP INDEX idx_task_audits_source_event_ts, idx_task_audits_decision_lag, idx_task_audits_event_source_ts;
      ${LOST} WHERE ${lost}`);
    return;
  }
  asAgentOs(path, (db) => {
    const sql = db
      .prepare(`SELECT sql FROM sqlite_schema WHERE name = 'task_audits'`)
      .pluck()
      .get() as string;
    db.exec(`BEGIN; ${sql.replace(/task_audits/, 'anew')}; INSERT INTO anew SELECT * FROM task_audits;
      DROP TABLE task_audits; ALTER TABLE anew RENAME TO task_audits; ${LOST} WHERE ${lost}; COMMIT`);
  });
}

/** Deletes the rows behind a key, and lets the keys begin again there. */
export async function restartKeys(store: TestStore, last: number): Promise<void> {
  await store.change(`DELETE FROM task_audits WHERE audit_id > ${last}`);
  await store.change(
    store.address.postgres
      ? `SELECT setval(pg_get_serial_sequence('task_audits', 'audit_id'), ${Math.max(1, last)}, ${last > 0})`
      : `UPDATE sqlite_sequence SET seq = ${last} WHERE name = 'task_audits'`,
  );
}
