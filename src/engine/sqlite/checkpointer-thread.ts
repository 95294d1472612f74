import { parentPort, workerData } from 'node:worker_threads';
import { locateStore } from '../../db/path.js';
import { checkpoint } from '../../db/sqlite/connection.js';
import { openSqlite } from './dialect.js';

/** The thread of a `Checkpointer`: checkpoints on each message, and replies when done. */

const store = openSqlite(locateStore(workerData as string), { access: 'write' });

parentPort?.on('message', async () => {
  await checkpoint(store, 'PASSIVE');
  parentPort?.postMessage('moved');
});
