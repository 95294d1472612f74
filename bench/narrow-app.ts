import { createMigrator, defineBackfill, sql } from '../src/index.js';

// Fills a column of narrow rows on one connection, and takes that back. Prints the seconds of either, without verification.

const [database = ''] = process.argv.slice(2);
let [startedAt, seconds] = [0, 0];
const migrator = createMigrator({
  database,
  backup: false,
  pace: 'full',
  workers: 1,
  onEvent({ event }) {
    if (event === 'step_started') startedAt = performance.now();
    if (event === 'step_finished') seconds = (performance.now() - startedAt) / 1000;
  },
  steps: {
    '001-label': defineBackfill({
      table: 'narrow',
      key: 'id',
      columns: { label: sql('upper(left(name, 8))') },
    }),
  },
});
await migrator.up();
const upSeconds = seconds;
await migrator.down();
console.log(JSON.stringify({ up: upSeconds, down: seconds }));
