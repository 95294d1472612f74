import { parentPort, workerData } from 'node:worker_threads';
import { locateStore } from '../../db/path.js';
import { dataVersion } from '../../db/sqlite/connection.js';
import type { PassMaker } from '../scan.js';
import { openSqlite } from './dialect.js';
import { claimRanges, type ScanThreadData, type SharedRanges } from './reading.js';

/**
 * The second thread of a pass. It reads the store's `data_version`, reports that it is ready, and takes part if its snapshot has
 * the same version.
 */

const { path, module, data } = workerData as ScanThreadData;
const { makePass } = (await import(module)) as { readonly makePass: PassMaker };
const store = openSqlite(locateStore(path), { access: 'read' });
const seen = await dataVersion(store);

parentPort?.once('message', async (shares: SharedRanges) => {
  try {
    const made = await store.snapshotAsync(async (tx) => {
      await tx.get('SELECT 1 FROM sqlite_schema LIMIT 1'); // a transaction takes its snapshot at its first read
      if ((await dataVersion(tx)) !== seen) return undefined;
      return await makePass(tx, data, claimRanges(shares, true));
    });
    if (made) parentPort?.postMessage({ found: made.found }, [...made.transfer]);
  } finally {
    await store.close();
  }
});
parentPort?.postMessage('ready');
