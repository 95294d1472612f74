import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { root } from './measure.js';

/** Applies the schema step by hand, and returns how long each CREATE INDEX takes, in milliseconds. */
export function ddlTimes(store: string): number[] {
  const db = new Database(store);
  const statements = readFileSync(join(root, 'bench/rival.sql'), 'utf8')
    .replace(/^--.*$/gm, '')
    .split(';')
    .map((text) => text.trim())
    .filter((text) => text !== '' && !text.startsWith('UPDATE'));
  const times: number[] = [];
  for (const text of statements) {
    const startedAt = performance.now();
    db.exec(text);
    if (text.startsWith('CREATE')) times.push(performance.now() - startedAt);
  }
  db.close();
  return times;
}
