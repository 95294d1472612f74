import { defineBackfill, firstOf } from 'umzug-backfill';

export default defineBackfill({
  table: 'events',
  key: 'id',
  scope: `kind = 'order'`,
  columns: { ordered_at: firstOf('body', ['ordered_at', 'ts'], 'created_at') },
});
