import { defineBackfill, firstOf } from 'umzug-backfill';

export default defineBackfill({
  table: 'orders',
  key: 'id',
  columns: { placed_at: firstOf('body', ['placed_at', 'ts'], 'created_at') },
  checks: { timestamps: true },
});
