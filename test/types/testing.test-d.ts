import { defineBackfill, defineSchemaStep, sql } from '../../src/index.js';
import { testBackfill } from '../../src/testing/index.js';

// Compiled by `npm run typecheck`, never run: see options.test-d.ts.

const backfill = defineBackfill({ table: 'orders', key: 'id', columns: { paid_at: sql('ts') } });
const column = defineSchemaStep({ table: 'orders', columns: { paid_at: 'TEXT' } });
const schema = 'CREATE TABLE orders (id INTEGER PRIMARY KEY, ts TEXT)';
const rows = [{ id: 1, ts: 'x' }, { ts: null }, { id: 2n, ts: new Uint8Array() }];

export const allowed = [
  () => testBackfill({ backfill, schema, rows }),
  () => testBackfill({ file: 'a.js', schema: [schema, column], rows, expected: rows, batchRows: 2 }),
  () => testBackfill({ file: new URL('a.js', import.meta.url), schema, rows, allowTriggers: true }),
];

export const refused = [
  // @ts-expect-error: neither a file nor a definition
  () => testBackfill({ schema, rows }),
  // @ts-expect-error: a misspelt option
  () => testBackfill({ backfill, schema, rows, batchSize: 2 }),
  // @ts-expect-error: no rows
  () => testBackfill({ backfill, schema }),
  // @ts-expect-error: SQLite has no booleans
  () => testBackfill({ backfill, schema, rows: [{ id: true }] }),
  // @ts-expect-error: a backfill makes no schema
  () => testBackfill({ backfill, schema: [backfill], rows }),
];
