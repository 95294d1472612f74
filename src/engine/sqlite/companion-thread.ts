import { setImmediate as nextTurn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { locateStore } from '../../db/path.js';
import { checkpoint } from '../../db/sqlite/connection.js';
import type { Follower, FollowerMaker } from '../scan.js';
import type { CompanionData, CompanionReply, CompanionRequest, IntegerRange } from './companion.js';
import { openSqlite } from './dialect.js';

/**
 * The thread of a `Companion`. It checkpoints the WAL when asked, before anything else, and reads what was written, in parts, until it
 * is asked for its findings. Between two parts it has no transaction open, so that the WAL can restart.
 */

/**
 * Maximum keys of a part, which is one snapshot and takes some tenths of a second; also the maximum that is read before the end, because
 * to start another thread for them takes longer.
 */
const PART_KEYS = 50_000n;

const { path, follow } = workerData as CompanionData;
const store = openSqlite(locateStore(path), { access: 'write' });
let follower: Follower | undefined;
/** Keys that were written and are not read yet. */
let unread: IntegerRange | undefined;
/** Requests that are due. */
const due = new Set<Exclude<CompanionRequest, IntegerRange>>();
let [isWorking, isOver] = [false, follow === undefined];

const reply = (message: CompanionReply, transfer: readonly ArrayBuffer[] = []): void =>
  parentPort?.postMessage(message, [...transfer]);

async function readPart([first, last]: IntegerRange): Promise<void> {
  if (!follow) return;
  follower ??= ((await import(follow.module)) as { makeFollower: FollowerMaker }).makeFollower(follow.data);
  const { read } = follower;
  const to = last - first < PART_KEYS ? last : first + PART_KEYS - 1n;
  unread = [to + 1n, last];
  if (!(await store.snapshotAsync(async (tx) => await read(tx, [first, to])))) forget();
}

function forget(): void {
  [follower, unread, isOver] = [undefined, undefined, true];
}

function end(): void {
  const ended = follower?.end();
  const followed = ended && unread ? { found: ended.found, lastKey: unread[0] - 1n } : undefined;
  reply({ followed }, ended?.transfer);
  forget();
}

const keysIn = (range: IntegerRange | undefined): bigint => (range ? range[1] - range[0] + 1n : 0n);

async function work(): Promise<void> {
  isWorking = true;
  for (; ; await nextTurn()) {
    const left = keysIn(unread);
    if (due.delete('forget')) forget();
    else if (due.delete('checkpoint')) {
      await checkpoint(store, 'PASSIVE');
      reply('checkpointed');
    } else if (due.has('end') && (left === 0n || left > PART_KEYS)) {
      due.delete('end');
      end();
    } else if (unread && left > 0n) await readPart(unread);
    else break;
  }
  isWorking = false;
}

parentPort?.on('message', async (request: CompanionRequest) => {
  if (typeof request === 'string') due.add(request);
  else if (!isOver) unread = [unread ? unread[0] : request[0], request[1]];
  if (!isWorking) await work();
});
