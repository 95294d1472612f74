// The testing kit as users have it, compiled: it starts processes of its own, which need no loader then.

const compiled = (path: string): string => new URL(`../../dist/src/${path}`, import.meta.url).href;

export const { testBackfill, BackfillTestError } = (await import(
  compiled('testing/index.js')
)) as typeof import('../../src/testing/index.js');
export const { BackfillError, defineBackfill, defineSchemaStep, defineSqlStep, firstOf, sql } = (await import(
  compiled('index.js')
)) as typeof import('../../src/index.js');
