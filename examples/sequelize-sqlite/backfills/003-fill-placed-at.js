import { defineBackfill } from 'umzug-backfill';

// It imports nothing that opens the database: a child process loads this file.
export default defineBackfill({
  table: 'orders',
  key: 'id',
  reads: ['body'],
  columns: ['placed_at'],
  process: (rows, { skip }) =>
    rows.map(({ body }) => {
      const { seconds } = JSON.parse(body);
      return Number.isFinite(seconds)
        ? { placed_at: new Date(seconds * 1000).toISOString() }
        : skip('NO_TIME');
    }),
});
