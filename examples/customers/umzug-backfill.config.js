import { defineConfig } from 'umzug-backfill';

export default defineConfig({
  database: { path: 'customers.db', env: 'CUSTOMERS_DB' },
  steps: ['migrations', 'backfills'],
});
