import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { dropStore, freshStore, root } from './measure.js';
import type { Row } from './report.js';

/** How long each statement of the schema step keeps other writers out. */
export function ddlRows(audits: number): Row[] {
  const store = freshStore({ audits });
  const db = new Database(store);
  const statements = readFileSync(join(root, 'bench/rival.sql'), 'utf8')
    .replace(/^--.*$/gm, '')
    .split(';')
    .map((text) => text.trim());
  const rows: Row[] = [];
  let begunAt = 0;
  for (const text of statements.filter((statement) => statement !== '' && !statement.startsWith('UPDATE'))) {
    if (text === 'BEGIN') begunAt = performance.now();
    const startedAt = performance.now();
    db.exec(text);
    const isLast = text === 'COMMIT';
    if (!text.startsWith('CREATE') && !isLast) continue;
    const ms = performance.now() - (isLast ? begunAt : startedAt);
    rows.push({
      what: isLast ? 'both columns and the version row' : (/INDEX (\w+)/.exec(text)?.[1] ?? text),
      ours: `${ms.toFixed(0)} ms`,
      rival: '',
      target: '',
    });
  }
  db.close();
  dropStore(store);
  return rows;
}
