import { Worker } from 'node:worker_threads';
import type { Backfill } from '../backfill/define.js';
import type { Ledger } from '../ledger/ledger.js';
import type { KeyRange, Store } from '../store/port.js';
import { mergeFacts, type ScanFacts } from './facts.js';
import { scan } from './scan.js';

/**
 * A second thread that helps to scan, on the same snapshot. It looks at the store's `data_version` before this thread
 * takes its snapshot, and once more when it has taken its own: if nobody has committed in between, the two are one. Else,
 * or when anything else keeps it, it takes no part, and this thread scans alone.
 */

/** What the thread may keep of rows that it has read already, in MiB: a few less than V8's own, and as fast. */
const YOUNG_MIB = 4;

/** Into how many ranges the keys are cut, for two threads to take in turn. */
const RANGES = 64;

/** Places in the counts that the threads share: ranges that are taken, and those of them that the helper took. */
const [TAKEN, BY_HELPER] = [0, 1];

/** What the helper is told when it starts. */
export interface HelperData {
  /** Path of the store. */
  readonly path: string;
  readonly backfill: Backfill;
}

/** What it is told once this thread has its snapshot. */
export interface HelperTask {
  readonly shares: Shares;
  /** The present, as Unix time in milliseconds. */
  readonly nowMs: number;
}

/** Ranges of keys that threads take in turn: plain data. */
export interface Shares {
  readonly first: bigint;
  readonly last: bigint;
  readonly counts: Int32Array<SharedArrayBuffer>;
}

/** The keys from `first` to `last`, to be shared. */
function shareKeys(first: bigint, last: bigint): Shares {
  return { first, last, counts: new Int32Array(new SharedArrayBuffer(8)) };
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

/** The second thread. Its lifetime is one verification's. */
export class Helper {
  readonly #worker: Worker;
  /** When it has looked at the store, or has ended. */
  readonly #ready: Promise<void>;
  /** What it found, once it has ended; undefined when it took no part, or broke off. */
  readonly #facts: Promise<ScanFacts | undefined>;
  #shares: Shares | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    // What has kept it meets this thread as well, when it scans alone, and is told from there: 'exit' follows on 'error'.
    worker.on('error', () => undefined);
    this.#ready = new Promise((resolve) =>
      worker.once('message', () => resolve()).once('exit', () => resolve()),
    );
    this.#facts = new Promise((resolve) => {
      worker.on('message', (message: 'ready' | ScanFacts) => {
        if (message !== 'ready') resolve(message);
      });
      worker.once('exit', () => resolve(undefined));
    });
  }

  /** Starts it, and waits until it has looked at the store. To be called before the snapshot is taken. */
  static async start(data: HelperData): Promise<Helper> {
    const worker = new Worker(new URL('./helper-thread.js', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    const helper = new Helper(worker);
    await helper.#ready;
    return helper;
  }

  /** Lets it begin. To be called when the snapshot has been taken. */
  begin(task: HelperTask): void {
    this.#shares = task.shares;
    this.#worker.postMessage(task);
  }

  /**
   * Waits for it.
   *
   * @returns what it found, undefined when it took no part; `isBroken` when what it took is missing
   */
  async end(): Promise<{ facts: ScanFacts | undefined; isBroken: boolean }> {
    const facts = await this.#facts;
    const took = this.#shares ? Atomics.load(this.#shares.counts, BY_HELPER) : 0;
    return { facts, isBroken: facts === undefined && took > 0 };
  }

  /** Ends it, whatever it does. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/**
 * Scans every row, the helper's part included if it takes one. Runs in a snapshot.
 *
 * @param helper one that was started before the snapshot was taken
 */
export async function scanTogether(
  store: Store,
  ledger: Ledger,
  backfill: Backfill,
  nowMs: number,
  helper: Helper | undefined,
): Promise<{ facts: ScanFacts; threads: 1 | 2 }> {
  const keys = await store.dialect.keyRange(store, backfill);
  const alone = async (): Promise<{ facts: ScanFacts; threads: 1 }> => ({
    facts: await scan(store, ledger, backfill, keys ? [keys] : [], nowMs),
    threads: 1,
  });
  if (!keys || !helper) return await alone();
  const [first, last] = keys;
  if (typeof first !== 'bigint' || typeof last !== 'bigint') return await alone(); // texts can't be cut by numbers
  const shares = shareKeys(first, last);
  helper.begin({ shares, nowMs });
  const facts = await scan(store, ledger, backfill, takeRanges(shares), nowMs);
  const { facts: theirs, isBroken } = await helper.end();
  await helper.close(); // its memory is wanted for what comes next
  if (isBroken) return await alone();
  if (!theirs) return { facts, threads: 1 };
  mergeFacts(facts, theirs);
  // Of too many groups each thread has told others apart: only one thread can say which come first.
  return facts.hasOtherGroups ? await alone() : { facts, threads: 2 };
}
