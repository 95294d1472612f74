import { defineConfig } from 'umzug-backfill';

// For `umzug-backfill status`, `verify`, `skips` and `report`, with --postgres. What is applied and reverted stays umzug's: node migrate.js.
export default defineConfig({ steps: ['backfills'] });
