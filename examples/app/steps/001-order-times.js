import { defineSchemaStep } from 'umzug-backfill';

export default defineSchemaStep({
  table: 'events',
  columns: { ordered_at: 'TEXT' },
  indexes: { idx_events_ordered_at: { columns: ['ordered_at'], where: 'ordered_at IS NOT NULL' } },
});
