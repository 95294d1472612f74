import { defineBackfill, firstOf } from '../src/index.js';

/** Fills the v21 columns of past supervisor events from their JSON payload. */
export default defineBackfill({
  table: 'task_audits',
  key: 'audit_id',
  // LIKE ignores the case of ASCII letters in SQLite alone; in the collation C, ILIKE ignores that of no others.
  scope: {
    sqlite: `event_type LIKE '%SUPERVISOR%'`,
    postgres: `event_type ILIKE '%SUPERVISOR%' COLLATE "C"`,
  },
  columns: {
    source_event_ts: firstOf(
      'payload',
      ['source_event_ts', 'source_ts', 'event_timestamp', 'task_created_at'],
      'created_at',
    ),
    supervisor_processed_at: firstOf(
      'payload',
      ['supervisor_processed_at', 'processed_at', 'timestamp'],
      'created_at',
    ),
  },
  checks: {
    groupBy: 'event_type',
    timestamps: true,
    lag: { from: 'source_event_ts', to: 'supervisor_processed_at' },
    indexes: [
      {
        index: 'idx_task_audits_source_event_ts',
        query: `SELECT audit_id FROM task_audits
          WHERE source_event_ts >= '2026-01-01' AND source_event_ts < '2026-02-01' ORDER BY source_event_ts`,
      },
      {
        index: 'idx_task_audits_decision_lag',
        query: `SELECT source_event_ts, supervisor_processed_at FROM task_audits
          WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL`,
      },
      {
        index: 'idx_task_audits_event_source_ts',
        query: `SELECT audit_id FROM task_audits
          WHERE event_type = 'SUPERVISOR_BLOCKED' AND source_event_ts >= '2026-01-01' ORDER BY source_event_ts`,
      },
    ],
  },
});
