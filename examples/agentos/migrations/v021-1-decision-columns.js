import { defineSchemaStep } from 'umzug-backfill';

/** Schema v21: two redundant columns on the audit log, so that decision-lag queries need not parse JSON. */
export default defineSchemaStep({
  table: 'task_audits',
  columns: { source_event_ts: 'TEXT', supervisor_processed_at: 'TEXT' },
  indexes: {
    idx_task_audits_source_event_ts: {
      columns: ['source_event_ts'],
      where: 'source_event_ts IS NOT NULL',
    },
    idx_task_audits_decision_lag: {
      columns: ['source_event_ts', 'supervisor_processed_at'],
      where: 'source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL',
    },
    idx_task_audits_event_source_ts: {
      columns: ['event_type', 'source_event_ts'],
      where: 'source_event_ts IS NOT NULL',
    },
  },
  version: { table: 'schema_version', column: 'version', to: '0.21.0' },
});
