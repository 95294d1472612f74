/**
 * Where each command must be able to be killed, in order: how a failpoint's name begins. A window that is lost here would no
 * longer be tested by anything.
 */

const several = (count: number, names: readonly string[]): string[] => Array(count).fill(names).flat();

const lock = ['lock signed', 'lock taken'];
const copy = ['made', 'begun', 'copied', 'checked', 'synced', 'renamed', 'done'].map(
  (step) => `copy ${step}`,
);
const note = ['statement INSERT INTO umzug_backfill_commands', 'commit'];
const made = ['statement INSERT INTO umzug_backfill_objects'];
const batch = [
  'statement UPDATE "task_audits"',
  'statement INSERT INTO umzug_backfill_skips',
  'statement UPDATE umzug_backfill_ranges SET cursor',
  'statement INSERT INTO umzug_backfill_batches',
  'statement INSERT INTO umzug_backfill_cells',
  'commit',
];
const verification = [
  'statement INSERT INTO umzug_backfill_verifications',
  "statement UPDATE umzug_backfill_runs SET status = 'verified'",
  'commit',
];
const run = [
  'statement INSERT INTO umzug_backfill_runs',
  'statement INSERT INTO umzug_backfill_ranges',
  'commit',
];
const released = ['lock released'];
const forget = (tables: readonly string[]): string[] =>
  tables.map((table) => `statement DELETE FROM umzug_backfill_${table}`);
const index = (name: string): string => `"idx_task_audits_${name}"`;

export const windows = {
  up: [
    ...[...lock, ...copy, ...note],
    ...['statement ALTER TABLE "task_audits" ADD COLUMN "source_event_ts"', ...made],
    ...['statement ALTER TABLE "task_audits" ADD COLUMN "supervisor_processed_at"', ...made],
    ...['statement INSERT INTO "schema_version"', ...made, 'commit'],
    ...['source_event_ts', 'decision_lag', 'event_source_ts'].flatMap((name) => [
      `statement CREATE INDEX ${index(name)}`,
      ...made,
      'commit',
    ]),
    ...[...run, ...several(4, batch)],
    ...["statement UPDATE umzug_backfill_steps SET status = 'applied'", 'commit'],
    ...[...verification, ...released],
  ],
  backfill: [...lock, ...run, ...several(2, batch), ...verification, ...released],
  down: [
    ...[...lock, ...copy, ...note],
    ...several(4, [
      'statement UPDATE "task_audits"',
      'statement UPDATE umzug_backfill_ranges',
      ...forget(['cells', 'skips', 'batches']),
      'commit',
    ]),
    ...[...forget(['verifications', 'skips', 'cells', 'batches', 'ranges', 'runs', 'steps']), 'commit'],
    ...['decision_lag', 'event_source_ts', 'source_event_ts'].flatMap((name) => [
      `statement DROP INDEX ${index(name)}`,
      ...forget(['objects']),
      'commit',
    ]),
    'statement ALTER TABLE "task_audits" DROP COLUMN "source_event_ts"',
    'statement ALTER TABLE "task_audits" DROP COLUMN "supervisor_processed_at"',
    'statement DELETE FROM "schema_version"',
    ...[...forget(['objects', 'steps']), 'statement DROP TABLE IF EXISTS umzug_backfill_steps', 'commit'],
    ...released,
  ],
  restore: [...lock, ...copy, 'copy begun', 'restore written', ...released],
} as const;
