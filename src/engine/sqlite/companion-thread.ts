import { setImmediate as nextTurn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { locateStore } from '../../db/path.js';
import { checkpoint } from '../../db/sqlite/connection.js';
import type { Follower, FollowerMaker } from '../scan.js';
import type { CompanionData, CompanionReply, CompanionRequest, IntegerRange } from './companion.js';
import { openSqlite } from './dialect.js';

/**
 * The thread of a `Companion`. It checkpoints the WAL when asked, before anything else, and reads the ranges that were written, one after
 * another, until it is asked for what it has found. Between two of them it has no transaction open, so that the WAL can restart.
 */

const { path, follow } = workerData as CompanionData;
const store = openSqlite(locateStore(path), { access: 'write' });
const waiting: IntegerRange[] = [];
let follower: Follower | undefined;
let lastKey: bigint | undefined;
let [isCheckpointDue, isEndDue, isWorking] = [false, false, false];

const reply = (message: CompanionReply, transfer: readonly ArrayBuffer[] = []): void =>
  parentPort?.postMessage(message, [...transfer]);

async function read(range: IntegerRange): Promise<void> {
  if (!follow) return;
  follower ??= ((await import(follow.module)) as { makeFollower: FollowerMaker }).makeFollower(follow.data);
  const { read: readRange } = follower;
  await store.snapshotAsync(async (tx) => await readRange(tx, range));
  lastKey = range[1];
}

function end(): void {
  const ended = follower?.end();
  const followed = ended && lastKey !== undefined ? { found: ended.found, lastKey } : undefined;
  reply({ followed }, ended?.transfer);
}

/** Keys that are read before the end: to begin another thread for fewer takes longer. */
const FEW_KEYS = 50_000n;

const areMany = ([first, ...more]: readonly IntegerRange[]): boolean =>
  first !== undefined && (more.at(-1) ?? first)[1] - first[0] > FEW_KEYS;

async function work(): Promise<void> {
  isWorking = true;
  for (; ; await nextTurn()) {
    const [range] = waiting;
    if (isCheckpointDue) {
      await checkpoint(store, 'PASSIVE');
      isCheckpointDue = false;
      reply('checkpointed');
    } else if (isEndDue && (!range || areMany(waiting))) {
      end();
      [isEndDue, waiting.length] = [false, 0];
    } else if (range) {
      waiting.shift();
      await read(range);
    } else break;
  }
  isWorking = false;
}

parentPort?.on('message', async (request: CompanionRequest) => {
  if (request === 'checkpoint') isCheckpointDue = true;
  else if (request === 'end') isEndDue = true;
  else waiting.push(request);
  if (!isWorking) await work();
});
