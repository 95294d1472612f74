import { expect } from 'chai';
import {
  BackfillError,
  type CreateMigratorOptions,
  createMigrator,
  defineBackfill,
  sql,
} from '../../src/index.js';

// A small table of PostgreSQL, a backfill of it, and what a program that runs it is told.

/** Makes the table: 200 rows. */
export const TABLE = `CREATE TABLE events (id bigint PRIMARY KEY, made timestamptz, share double precision, bytes bytea, body text, told text);
  INSERT INTO events SELECT n, timestamptz '2026-01-20T10:00:00Z' + n * interval '1 hour', 1.0 / n, decode('00ff', 'hex'),
    '{"ts": "ä' || n || '"}' FROM generate_series(1, 200) AS n`;

/** A value whose text goes by what is set in the session. */
export const told = defineBackfill({
  table: 'events',
  key: 'id',
  columns: { told: sql(`concat_ws(' ', made, share, bytes, body)`) },
});

/** A migrator of these steps, with batches of 20 rows. */
export const migratorOn = (url: string, steps: CreateMigratorOptions['steps'], more = {}) =>
  createMigrator({ database: url, batchRows: 20, pace: 'full', steps: steps ?? {}, ...more });

/** The error of ours that was thrown: that itself, or the cause of umzug's error of a step. */
export function backfillErrorOf(thrown: unknown): BackfillError {
  const error = thrown instanceof Error && thrown.name === 'MigrationError' ? thrown.cause : thrown;
  expect(error).to.be.instanceOf(BackfillError);
  return error as BackfillError;
}

/** The error of ours that a promise is rejected with: that itself, or the cause of umzug's error of a step. */
export async function errorOf(act: Promise<unknown>): Promise<BackfillError> {
  const error: unknown = await act.then(
    () => expect.fail('it was not rejected'),
    (thrown: unknown) => thrown,
  );
  return backfillErrorOf(error);
}
