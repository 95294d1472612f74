import { defineConfig } from 'umzug-backfill';

// For `umzug-backfill status`, `verify`, `skips` and `report`. What is applied and reverted stays umzug's: node migrate.js.
export default defineConfig({
  database: { path: 'orders.db', env: 'ORDERS_DB' },
  steps: ['backfills'],
});
