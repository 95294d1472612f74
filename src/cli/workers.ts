import type { StoreAddress } from '../address.js';
import { BackfillError } from '../errors.js';
import type { Helpers } from '../workers/helpers.js';
import type { CommonOptions } from './options.js';

/**
 * The processes that `--workers` asks for. They are loaded with the first batch.
 *
 * @param warn told of each that is killed
 */
export async function helpersOf(
  options: CommonOptions,
  { path, postgres }: StoreAddress,
  folder: string,
  isEmbedded: boolean,
  warn: (text: string) => void,
): Promise<Helpers | undefined> {
  const { workers, batchSize: batchRows, targetBatchMs, pace } = options;
  const { allowTriggers: allowsTriggers, yes: isConfirmed } = options;
  const trustsConfig = options.trustConfig;
  if (workers === undefined) return undefined;
  if (!postgres || isEmbedded) {
    throw new BackfillError(
      'USAGE',
      isEmbedded
        ? '--workers needs a config file, which other processes can load'
        : '--workers is for a database of PostgreSQL',
      'Leave it out: one process at a time writes to a file, and --concurrency is for several files',
    );
  }
  const { Helpers: Workers } = await import('../workers/helpers.js');
  const consent = { allowsTriggers, isConfirmed, trustsConfig };
  return new Workers({ folder, path, postgres, batchRows, targetBatchMs, pace, ...consent }, warn);
}
