export { type BackfillTestCode, BackfillTestError } from './failure.js';
export type {
  FileTestOptions,
  FileUrl,
  InlineTestOptions,
  SeedOptions,
  TestBackfillOptions,
  TestRow,
} from './options.js';
export { type TestBackfillResult, testBackfill } from './test-backfill.js';
