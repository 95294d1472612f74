-- What an expert would run by hand in the sqlite3 shell: the v21 DDL, then one UPDATE. It can not resume, verify, leave a bad row
-- out by itself, or let others write meanwhile; JSON true, "" and 0 count as values for it.
BEGIN;
ALTER TABLE task_audits ADD COLUMN source_event_ts TEXT;
ALTER TABLE task_audits ADD COLUMN supervisor_processed_at TEXT;
INSERT INTO schema_version (version) VALUES ('0.21.0');
COMMIT;
CREATE INDEX idx_task_audits_source_event_ts ON task_audits (source_event_ts) WHERE source_event_ts IS NOT NULL;
CREATE INDEX idx_task_audits_decision_lag ON task_audits (source_event_ts, supervisor_processed_at)
  WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL;
CREATE INDEX idx_task_audits_event_source_ts ON task_audits (event_type, source_event_ts) WHERE source_event_ts IS NOT NULL;
UPDATE task_audits SET
  source_event_ts = coalesce(source_event_ts, CASE WHEN json_valid(payload) THEN coalesce(payload ->> '$.source_event_ts',
    payload ->> '$.source_ts', payload ->> '$.event_timestamp', payload ->> '$.task_created_at') END, created_at),
  supervisor_processed_at = coalesce(supervisor_processed_at, CASE WHEN json_valid(payload) THEN coalesce(
    payload ->> '$.supervisor_processed_at', payload ->> '$.processed_at', payload ->> '$.timestamp') END, created_at)
WHERE event_type LIKE '%SUPERVISOR%' AND (source_event_ts IS NULL OR supervisor_processed_at IS NULL);
