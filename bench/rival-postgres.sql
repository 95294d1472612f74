-- What an expert would run by hand in psql: the v21 DDL, then one UPDATE that parses each payload once; without the OFFSET 0 the
-- planner would parse it for each name (a fifth slower). It can not resume, verify, leave a bad row out by itself, or let others
-- write to its rows meanwhile; JSON true, "" and 0 count as values for it. A server before 16 has no `IS JSON`: a function catches
-- what is none.
BEGIN;
ALTER TABLE task_audits ADD COLUMN source_event_ts text;
ALTER TABLE task_audits ADD COLUMN supervisor_processed_at text;
INSERT INTO schema_version (version) VALUES ('0.21.0');
COMMIT;
CREATE INDEX idx_task_audits_source_event_ts ON task_audits (source_event_ts) WHERE source_event_ts IS NOT NULL;
CREATE INDEX idx_task_audits_decision_lag ON task_audits (source_event_ts, supervisor_processed_at)
  WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL;
CREATE INDEX idx_task_audits_event_source_ts ON task_audits (event_type, source_event_ts) WHERE source_event_ts IS NOT NULL;
CREATE FUNCTION pg_temp.try_json(t text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS
  $$ BEGIN RETURN t::jsonb; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
\timing on
UPDATE task_audits AS t SET
  source_event_ts = coalesce(t.source_event_ts, j ->> 'source_event_ts', j ->> 'source_ts', j ->> 'event_timestamp',
    j ->> 'task_created_at', t.created_at),
  supervisor_processed_at = coalesce(t.supervisor_processed_at, j ->> 'supervisor_processed_at', j ->> 'processed_at',
    j ->> 'timestamp', t.created_at)
FROM (
  SELECT audit_id, pg_temp.try_json(payload) AS j FROM task_audits
  WHERE event_type ILIKE '%SUPERVISOR%' AND (source_event_ts IS NULL OR supervisor_processed_at IS NULL)
  OFFSET 0
) AS p WHERE p.audit_id = t.audit_id;
\timing off
