// The testing kit, and what its tests declare: they use it as users do.

export {
  BackfillError,
  defineBackfill,
  defineSchemaStep,
  defineSqlStep,
  firstOf,
  sql,
} from '../../src/index.js';
export { BackfillTestError, testBackfill } from '../../src/testing/index.js';
