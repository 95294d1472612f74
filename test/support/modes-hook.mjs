import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

// Loaded by `node --import` before the command line, in tests alone: at every failpoint it notes of each file in the folder, and in those within,
// who may do what with it. Only `stat`: to open one and close it again would drop SQLite's locks.
// UMZUG_BACKFILL_MODES is JSON: { "folder": FOLDER, "record": FILE }

const { folder, record } = JSON.parse(process.env.UMZUG_BACKFILL_MODES ?? '{}');

subscribe('umzug-backfill:failpoint', ({ at, detail }) => {
  const files = readdirSync(folder, { recursive: true }).map((name) => {
    const { mode, uid, gid } = statSync(join(folder, name));
    return { name, mode: mode & 0o777, uid, gid };
  });
  appendFileSync(record, `${JSON.stringify({ point: `${at} ${detail.trim().slice(0, 40)}`, files })}\n`);
});
