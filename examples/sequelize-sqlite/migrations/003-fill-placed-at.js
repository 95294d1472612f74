import { backfillStep } from 'umzug-backfill';
import backfill from '../backfills/003-fill-placed-at.js';
import { storage } from '../database.js';

export const { up, down } = backfillStep({
  name: '003-fill-placed-at',
  database: storage,
  backfill,
  file: new URL('../backfills/003-fill-placed-at.js', import.meta.url),
  batchRows: 1000,
});
