import { parentPort, workerData } from 'node:worker_threads';
import { Ledger } from '../ledger/ledger.js';
import { locateStore } from '../store/path.js';
import { openSqlite } from '../store/sqlite/site.js';
import { dataVersion } from '../store/sqlite/wal.js';
import { type HelperData, type HelperTask, takeRanges } from './helper.js';
import { lagBuffers } from './lag.js';
import { scan } from './scan.js';

/** The thread of a `Helper`: looks, says so, and scans its part if its snapshot is the one that the other thread has. */

const { path, backfill } = workerData as HelperData;
const store = openSqlite(locateStore(path), { access: 'look' });
const seen = await dataVersion(store);

parentPort?.once('message', async ({ shares, nowMs }: HelperTask) => {
  try {
    const facts = await store.snapshotAcross(async () => {
      const ledger = new Ledger(store);
      await ledger.runs(backfill.name); // a transaction has its snapshot from its first read on
      if ((await dataVersion(store)) !== seen) return undefined;
      return await scan(store, ledger, backfill, takeRanges(shares, true), nowMs);
    });
    if (facts) parentPort?.postMessage(facts, lagBuffers(facts.lag));
  } finally {
    await store.close();
  }
});
parentPort?.postMessage('ready');
