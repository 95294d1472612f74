import { postgresEngine } from './engine-postgres.js';
import type { TestEngine } from './engine-sqlite.js';
import { sqliteEngine } from './engine-sqlite.js';

export type { TestEngine, TestStore, TestStoreOptions } from './engine-sqlite.js';

/** The engines that a store can be of: the same tests run on each. */
export const ENGINES: readonly TestEngine[] = [sqliteEngine, postgresEngine];

/** Skips a test, or with `before` a whole `describe`, where the engine can't be had; the end of the run says why (fixtures.ts). */
export function needEngine(test: Mocha.Context, engine: Pick<TestEngine, 'whyNot'>): void {
  if (engine.whyNot() !== undefined) test.skip();
}
