import { backfillStep } from 'umzug-backfill';
import backfill from '../backfills/003-fill-placed-at.js';

const step = ({ context: { sequelize } }) =>
  backfillStep({ name: '003-fill-placed-at', database: sequelize, backfill, batchRows: 1000 });

export const up = (params) => step(params).up(params);
export const down = (params) => step(params).down(params);
