import { Worker } from 'node:worker_threads';
import type { Connection } from '../../db/connection.js';
import { requireSqlite } from '../../db/sqlite/statements.js';
import type { Backfill } from '../../steps/define.js';
import { isThreadWorth } from '../../threads.js';
import type { KeyRange } from '../dialect.js';
import type { BehindPass, Pass, PassElsewhere } from '../pass.js';
import { keyRange } from './keys.js';

/**
 * Passes over a table, to which a second thread helps on the same snapshot. It looks at the store's `data_version` before this thread
 * takes its snapshot, and once more when it has taken its own: if nobody has committed in between, the two are one. Else,
 * or when anything else keeps it, it takes no part, and this thread reads alone.
 */

/** What the thread may keep of rows that it has read already, in MiB: a few less than V8's own, and as fast. */
const YOUNG_MIB = 4;

/** Into how many ranges the keys are cut, for two threads to take in turn. */
const RANGES = 64;

/** Places in the counts that the threads share: ranges that are taken, and those of them that the helper took. */
const [TAKEN, BY_HELPER] = [0, 1];

/** Startup data of the thread. */
export interface HelperData extends PassElsewhere {
  /** Path of the store. */
  readonly path: string;
}

/** Ranges of keys that threads take in turn: plain data. */
export interface Shares {
  readonly first: bigint;
  readonly last: bigint;
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** Takes ranges until all are taken, by whichever thread. */
export function* takeRanges({ first, last, counts }: Shares, isHelper = false): Generator<KeyRange> {
  const width = (last - first) / BigInt(RANGES) + 1n;
  for (;;) {
    const from = first + width * BigInt(Atomics.add(counts, TAKEN, 1));
    if (from > last) return;
    if (isHelper) Atomics.add(counts, BY_HELPER, 1);
    const to = from + width - 1n;
    yield [from, to < last ? to : last];
  }
}

/** The second thread. Its lifetime is one pass's. */
class Helper {
  readonly #worker: Worker;
  /** When it has looked at the store, or has ended. */
  readonly #ready: Promise<void>;
  /** What it found, once it has ended; undefined when it took no part, or broke off. */
  readonly #found: Promise<{ readonly found: unknown } | undefined>;

  private constructor(worker: Worker) {
    this.#worker = worker;
    // What has kept it meets this thread as well, when it reads alone, and is told from there: 'exit' follows on 'error'.
    worker.on('error', () => undefined);
    this.#ready = new Promise((resolve) =>
      worker.once('message', () => resolve()).once('exit', () => resolve()),
    );
    this.#found = new Promise((resolve) => {
      worker.on('message', (message: 'ready' | { readonly found: unknown }) => {
        if (message !== 'ready') resolve(message);
      });
      worker.once('exit', () => resolve(undefined));
    });
  }

  /** Starts it, and waits until it has looked at the store. To be called before the snapshot is taken. */
  static async start(data: HelperData): Promise<Helper> {
    const worker = new Worker(new URL('./pass-thread.js', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    const helper = new Helper(worker);
    await helper.#ready;
    return helper;
  }

  /** Lets it begin. To be called when the snapshot has been taken. */
  begin(shares: Shares): void {
    this.#worker.postMessage(shares);
  }

  /** Waits for what it found; undefined when it took no part, or broke off. */
  async end(): Promise<{ readonly found: unknown } | undefined> {
    return await this.#found;
  }

  /** Ends it, whatever it does. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Makes a pass over a table on a snapshot of its own, and then acts on the same; a second thread helps where that pays. */
export async function passOver<Found, Result>(
  store: Connection,
  backfill: Backfill,
  pass: Pass<Found>,
  act: BehindPass<Found, Result>,
  threadFromBytes?: number,
): Promise<Result> {
  const { files } = requireSqlite(store);
  const helper =
    pass.elsewhere && isThreadWorth((await store.size()).bytes, threadFromBytes)
      ? await Helper.start({ path: files.path, ...pass.elsewhere })
      : undefined;
  try {
    return await store.snapshotAcross(async (tx) => {
      const keys = await keyRange(tx, backfill);
      const over = (ranges: Iterable<KeyRange>): Promise<Found> => pass.over(tx, ranges);
      const shared = keys && helper && (await passTogether({ ...pass, over }, keys, helper));
      await helper?.close(); // its memory is wanted for what comes next
      return shared ? await act(tx, ...shared) : await act(tx, await over(keys ? [keys] : []), 1);
    });
  } finally {
    await helper?.close();
  }
}

/** Returns undefined when one thread has to read all. */
async function passTogether<Found>(
  { over, merge }: Pick<Pass<Found>, 'merge'> & { over(ranges: Iterable<KeyRange>): Promise<Found> },
  [first, last]: KeyRange,
  helper: Helper,
): Promise<[Found, 1 | 2] | undefined> {
  if (typeof first !== 'bigint' || typeof last !== 'bigint') return undefined; // texts can't be cut by numbers
  const shares = { first, last, counts: new Int32Array(new SharedArrayBuffer(8)) };
  helper.begin(shares);
  const found = await over(takeRanges(shares));
  const theirs = await helper.end();
  const tookPart = Atomics.load(shares.counts, BY_HELPER) > 0;
  if (!theirs) return tookPart ? undefined : [found, 1]; // what it took is missing
  return merge(found, theirs.found as Found) ? [found, 2] : undefined;
}
