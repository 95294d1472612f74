"""The backfill as it is done by hand today: batches of 10,000 rows, JSON parsed in the program, one UPDATE a row.

Each batch is the first rows that still hold NULL, as the scripts ask for them that "only process records where the columns
are NULL", up to a batch in which nothing could be filled. With --by-key each goes on behind the last key instead.
Usage: rival.py STORE RIVAL.SQL [--by-key]
"""

import json
import sqlite3
import sys

SOURCE = ("source_event_ts", "source_ts", "event_timestamp", "task_created_at")
PROCESSED = ("supervisor_processed_at", "processed_at", "timestamp")
DDL = open(sys.argv[2], encoding="utf-8").read().split("UPDATE task_audits")[0]


def first(document, names, fallback):
    for name in names:
        if document.get(name):
            return document[name]
    return fallback


is_by_key = "--by-key" in sys.argv
store = sqlite3.connect(sys.argv[1])
store.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
store.executescript(DDL)
cursor = 0
while True:
    rows = store.execute(
        "SELECT audit_id, payload, created_at FROM task_audits WHERE audit_id > ? AND event_type LIKE '%SUPERVISOR%'"
        " AND (source_event_ts IS NULL OR supervisor_processed_at IS NULL) ORDER BY audit_id LIMIT 10000",
        (cursor,),
    ).fetchall()
    if not rows:
        break
    filled = 0
    for key, payload, created_at in rows:
        try:
            document = json.loads(payload or "{}")
            values = (first(document, SOURCE, created_at), first(document, PROCESSED, created_at))
            store.execute(
                "UPDATE task_audits SET source_event_ts = ?, supervisor_processed_at = ? WHERE audit_id = ?",
                (str(values[0]), str(values[1]), key),
            )
            filled += 1
        except (ValueError, AttributeError, RecursionError):
            continue
    store.commit()
    if is_by_key:
        cursor = rows[-1][0]
    elif filled == 0:
        break
store.close()
