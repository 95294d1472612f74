import { parentPort, workerData } from 'node:worker_threads';
import { locateStore } from '../../db/path.js';
import { checkpoint } from '../../db/sqlite/connection.js';
import { openSqlite } from './dialect.js';

/** The thread of a `Checkpointer`: moves the WAL whenever it is told to, and says when that is done. */

const store = openSqlite(locateStore(workerData as string), { access: 'write' });

parentPort?.on('message', async () => {
  await checkpoint(store, 'PASSIVE');
  parentPort?.postMessage('moved');
});
