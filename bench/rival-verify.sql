-- The checks that such a script's author runs behind it in the sqlite3 shell: coverage, consistency with the payload, event types, the
-- use of the indexes, ranges of the timestamps, and lag.
SELECT count(*), count(source_event_ts), count(supervisor_processed_at), round(100.0 * count(source_event_ts) / count(*), 2),
  round(100.0 * count(supervisor_processed_at) / count(*), 2)
FROM task_audits WHERE event_type LIKE '%SUPERVISOR%';
SELECT count(*), count(CASE WHEN json_valid(payload) THEN iif(source_event_ts IS coalesce(json_extract(payload, '$.source_event_ts'),
    json_extract(payload, '$.source_ts'), json_extract(payload, '$.event_timestamp'), json_extract(payload, '$.task_created_at'),
    created_at), NULL, 1) END) AS source_differs,
  count(CASE WHEN json_valid(payload) THEN iif(supervisor_processed_at IS coalesce(json_extract(payload, '$.supervisor_processed_at'),
    json_extract(payload, '$.processed_at'), json_extract(payload, '$.timestamp'), created_at), NULL, 1) END) AS processed_differs
FROM task_audits WHERE event_type LIKE '%SUPERVISOR%';
SELECT event_type, count(*), count(source_event_ts), count(supervisor_processed_at) FROM task_audits
WHERE event_type LIKE '%SUPERVISOR%' GROUP BY event_type ORDER BY 2 DESC;
EXPLAIN QUERY PLAN SELECT audit_id FROM task_audits
WHERE source_event_ts >= '2026-01-01' AND source_event_ts < '2026-02-01' ORDER BY source_event_ts;
EXPLAIN QUERY PLAN SELECT audit_id FROM task_audits WHERE event_type = 'SUPERVISOR_BLOCKED' AND source_event_ts >= '2026-01-01';
SELECT min(source_event_ts), max(source_event_ts), min(supervisor_processed_at), max(supervisor_processed_at),
  count(CASE WHEN julianday(source_event_ts) IS NULL THEN 1 END), count(CASE WHEN julianday(supervisor_processed_at) IS NULL THEN 1 END)
FROM task_audits WHERE event_type LIKE '%SUPERVISOR%';
SELECT count(*), avg(lag), min(lag), max(lag) FROM (
  SELECT (julianday(supervisor_processed_at) - julianday(source_event_ts)) * 86400 AS lag FROM task_audits
  WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL);
SELECT audit_id, decision_id, (julianday(supervisor_processed_at) - julianday(source_event_ts)) * 86400 AS lag FROM task_audits
WHERE source_event_ts IS NOT NULL AND supervisor_processed_at IS NOT NULL ORDER BY lag DESC LIMIT 10;
