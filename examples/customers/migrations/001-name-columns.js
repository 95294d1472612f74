import { defineSchemaStep } from 'umzug-backfill';

export default defineSchemaStep({
  table: 'customers',
  columns: { first_name: 'TEXT', last_name: 'TEXT', normal_email: 'TEXT' },
  indexes: { idx_customers_last_name: { columns: ['last_name'], where: 'last_name IS NOT NULL' } },
});
