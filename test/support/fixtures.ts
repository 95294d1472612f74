import { startServer, whyNoServer } from './postgres-server.js';

// What all files of a run share. Mocha calls this once, before it starts the processes that files run in.

/** Starts the one server of PostgreSQL, where the run asks for it; it ends with this process. */
export async function mochaGlobalSetup(): Promise<void> {
  if (process.env.UMZUG_BACKFILL_TEST_SERVER !== 'start') return;
  process.env.UMZUG_BACKFILL_TEST_SERVER = '';
  if (whyNoServer() !== undefined) return;
  const { url: _, stop: __, ...facts } = await startServer();
  process.env.UMZUG_BACKFILL_TEST_SERVER = JSON.stringify(facts);
}
