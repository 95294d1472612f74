import type Database from 'better-sqlite3';
import { expect } from 'chai';
import { bytesOf, type CliResult, type ErrorJson, expectRefusal, runCli } from './cli.js';
import { asAgentOs } from './stores.js';

// Stores whose schema is the work of an attacker who can write the file.

/** SQL that does not end. */
export const ENDLESS =
  'WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c';

/** Changes a store as its author may, also the text of its schema. */
export const craft = (path: string, act: (db: Database.Database) => void): void =>
  asAgentOs(path, (db) => {
    db.unsafeMode(true);
    db.pragma('writable_schema = ON');
    act(db);
  });

/** Replaces the text of an object of the schema. */
export const retext = (path: string, name: string, sql: string): void =>
  craft(path, (db) => {
    const { changes } = db.prepare('UPDATE sqlite_schema SET sql = ? WHERE name = ?').run(sql, name);
    expect(changes, `objects named ${name}`).to.equal(1);
  });

/** Insists that a command refuses the store with a code and leaves its files as they were. */
export async function refusesStore(path: string, args: readonly string[], code: string): Promise<ErrorJson> {
  const before = bytesOf(path);
  const result: CliResult = await runCli([...args, '--db-path', path]);
  const error = expectRefusal(result, code, 1);
  expect(bytesOf(path), `${args.join(' ')} has written the store`).to.deep.equal(before);
  return error;
}
