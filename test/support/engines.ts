import { postgresEngine } from './engine-postgres.js';
import { sqliteEngine } from './engine-sqlite.js';
import type { TestEngine } from './test-store.js';

export type { Dump, Expected, TestEngine, TestStore, TestStoreOptions } from './test-store.js';

/** The engines that a store can be of: the same tests run on each. */
export const ENGINES: readonly TestEngine[] = [sqliteEngine, postgresEngine];

/** Skips a test, or with `before` a whole `describe`, where the engine can't be had. */
export function needEngine(test: Mocha.Context, engine: TestEngine): void {
  const trouble = engine.whyNot();
  if (trouble === undefined) return;
  console.log(`    skipped: ${trouble}`);
  test.skip();
}
