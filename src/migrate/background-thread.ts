import { parentPort, workerData } from 'node:worker_threads';
import { toSent } from '../sent-error.js';
import type { ThreadData, ThreadMessage } from './deploy.js';
import { migrateOnDeploy } from './deploy.js';

// The worker thread of `startBackfills()`: migrates, posts its events, and stops on a message.

const tell = (message: ThreadMessage): void => parentPort?.postMessage(message);
const stopper = new AbortController();
parentPort?.on('message', () => stopper.abort('SIGTERM'));

try {
  const outcome = await migrateOnDeploy({
    ...(workerData as ThreadData),
    signal: stopper.signal,
    onEvent: (event) => tell({ event }),
  });
  tell({ outcome });
} catch (error) {
  tell({ error: toSent(error) });
}
parentPort?.close();
