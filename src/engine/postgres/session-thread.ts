import { parentPort, workerData } from 'node:worker_threads';
import { Sessions } from '../../db/postgres/session.js';
import { PostgresStore } from '../../db/postgres/store.js';
import { identifier, literal } from '../../db/sql.js';
import type { PassMaker } from '../scan.js';
import { POSTGRES } from './dialect.js';
import { claimRanges, conditionsOf, isImported, type SessionThreadData, type SharedPass } from './reading.js';

/** The second session of a pass, on a thread. It claims ranges only after it has imported the snapshot and locked the table. */

/** Time after which this session gives up a lock, in milliseconds: the first one then reads everything. */
const LOCK_TIMEOUT_MS = 100;

const { address, table, lockTimeoutMs, conditions, module, data } = workerData as SessionThreadData;
const { makePass } = (await import(module)) as { readonly makePass: PassMaker };
const sessions = new Sessions(address);
const session = await sessions.enter();
const options = { access: 'read', busyTimeoutMs: lockTimeoutMs } as const;
const store = new PostgresStore(sessions, session, POSTGRES, options);
await store.setLockTimeout();

parentPort?.once('message', async (shared: SharedPass) => {
  const { snapshot } = shared;
  try {
    const made = await store.snapshotAsync(async (tx) => {
      await tx.exec(`SET TRANSACTION SNAPSHOT ${literal(snapshot.id)}`);
      if (conditionsOf(session) !== conditions || !(await isImported(tx, snapshot))) return undefined;
      // Whatever table an expression reads: the first session may hold a lock that the other client of a queue waits for.
      await tx.exec(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
      // A statement that waits for an exclusive lock on the table blocks this session, but not the first: it must not have claimed a range.
      await tx.project.get(`SELECT 1 FROM ${identifier(table)} LIMIT 1`);
      const found = await makePass(tx, data, claimRanges(shared));
      return (await isImported(tx, snapshot)) ? found : undefined;
    });
    if (made) parentPort?.postMessage({ found: made.found }, [...made.transfer]);
  } finally {
    await store.close();
  }
});
