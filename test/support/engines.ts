import { postgresEngine } from './engine-postgres.js';
import { sqliteEngine } from './engine-sqlite.js';
import type { TestEngine } from './test-store.js';

export type { Dump, Expected, TestEngine, TestStore, TestStoreOptions } from './test-store.js';

/** The engines that a store can be of: the same tests run on each. */
export const ENGINES: readonly TestEngine[] = [sqliteEngine, postgresEngine];

/** Skips a test, or with `before` a whole `describe`, where the engine can't be had; the end of the run says why (fixtures.ts). */
export function needEngine(test: Mocha.Context, engine: TestEngine): void {
  if (engine.whyNot() !== undefined) test.skip();
}
