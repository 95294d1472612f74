import { startServer, whyNoServer } from './postgres-server.js';

// What all files of a run share. Mocha calls these once each, before and after the processes that files run in.

/** Starts the one server of PostgreSQL, where the run asks for it; it ends with this process. */
export async function mochaGlobalSetup(): Promise<void> {
  if (process.env.UMZUG_BACKFILL_TEST_SERVER !== 'start') return;
  process.env.UMZUG_BACKFILL_TEST_SERVER = '';
  if (whyNoServer() !== undefined) return;
  const { url: _, stop: __, ...facts } = await startServer();
  process.env.UMZUG_BACKFILL_TEST_SERVER = JSON.stringify(facts);
}

/** Says once what could not be tested here. */
export function mochaGlobalTeardown(): void {
  const trouble = whyNoServer();
  if (trouble !== undefined) console.log(`  Skipped whatever needs a server of PostgreSQL: ${trouble}\n`);
}
