import { backfillStep } from 'umzug-backfill';
import backfill from '../backfills/003-fill-placed-at.js';

const step = (db) => backfillStep({ name: '003-fill-placed-at', database: db, backfill, batchRows: 1000 });

export const up = (params) => step(params.context).up(params);
export const down = (params) => step(params.context).down(params);
