import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';

// What would be written instead of a fleet: a loop over the stores of a folder that runs a script on each.

const [folder = '', script = ''] = process.argv.slice(2);
const sql = readFileSync(script, 'utf8');
for (const name of readdirSync(folder)) {
  const db = new Database(join(folder, name));
  db.exec(sql);
  db.close();
}
