import { availableParallelism } from 'node:os';

/** Store size from which on a second thread pays, in bytes: it takes as long to start as it takes to verify about 15 MiB. */
const THREAD_FROM_BYTES = 64 * 2 ** 20;

/** Whether a second thread pays for a store of this size: where there is a processor for it. */
export const isThreadWorth = (storeBytes: number, fromBytes = THREAD_FROM_BYTES): boolean =>
  availableParallelism() > 1 && storeBytes >= fromBytes;
