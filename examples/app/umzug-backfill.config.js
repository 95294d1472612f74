import { defineConfig } from 'umzug-backfill';

export default defineConfig({
  database: { path: 'shop.db', env: 'SHOP_DB' },
  steps: ['steps'],
});
