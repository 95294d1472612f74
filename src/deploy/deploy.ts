import type { AbortSignalLike } from '../abort.js';
import { storeAddress } from '../address.js';
import { loadProject } from '../config.js';
import type { PaceOptions } from '../engine/run-options.js';
import type { BackupOptions, MigratorEvent } from '../migrator/session.js';
import type { UpResult } from '../migrator/up.js';
import { withKnownPlaces } from '../places.js';
import { withServerHints } from '../server-hints.js';
import type { TrustsCode } from '../steps/load.js';

/** How long a deploy waits for another run, in milliseconds, when nobody says otherwise: that may be a long backfill. */
export const DEPLOY_LOCK_TIMEOUT_MS = 600_000;

/** What {@link migrateOnDeploy} takes, beside the pace. */
export interface DeployOptions extends PaceOptions, TrustsCode {
  /** Folder of the config file. Default: the current one. */
  readonly folder?: string;
  /** Path of the store, or a URL of PostgreSQL. Default: what the environment or the config names. */
  readonly path?: string;
  /** Whether to run backfills, or to leave them to `startBackfills()` or another process. Default `wait`. */
  readonly backfills?: 'wait' | 'background';
  /** How to back the store up before it is changed; false: not at all. */
  readonly backup?: BackupOptions | false;
  /** How long to wait for another run, in milliseconds. Default 600,000. */
  readonly lockTimeoutMs?: number;
  /** Whether updates may fire triggers. Default false. */
  readonly allowTriggers?: boolean;
  /** Whether a person has agreed to what the command line asks `--yes` for. Default false. */
  readonly confirmed?: boolean;
  /** Stops between two batches; its `reason` is a signal's name. */
  readonly signal?: AbortSignalLike;
  /** Told what happens. */
  readonly onEvent?: (event: MigratorEvent) => void;
}

/** What a deploy did: as `up` tells, without an error, which is thrown. */
export type DeployResult = Omit<UpResult, 'error'>;

/**
 * Brings the store up to date before the application starts: waits for another run, applies pending steps, catches up,
 * verifies. Where nothing is to be done it writes nothing, and takes some milliseconds. Otherwise it keeps this
 * thread busy: call it before anything is served.
 *
 * @param options see {@link DeployOptions}
 * @returns what was done; `deferred` names backfills that `backfills: 'background'` left to a later run
 * @throws {BackfillError} as the command `up`, `VERIFICATION_FAILED` included
 *
 * @example
 * await migrateOnDeploy({ backfills: 'background' });
 * const backfills = startBackfills(); // and now serve
 */
export async function migrateOnDeploy({
  folder = process.cwd(),
  path,
  backfills,
  lockTimeoutMs = DEPLOY_LOCK_TIMEOUT_MS,
  trustConfig,
  ...rest
}: DeployOptions = {}): Promise<DeployResult> {
  const project = await loadProject(folder, { trustConfig });
  const { up } = await import('../migrator/up.js'); // late: every step file imports this package
  const address = storeAddress(project.config, { dbPath: path }, process.env);
  return await withServerHints(address, () =>
    withKnownPlaces(project.config, address, process.env, async () => {
      const { error, ...outcome } = await up(
        { ...rest, project, ...address, lockTimeoutMs },
        { deferBackfills: backfills === 'background' },
      );
      if (error) throw error;
      return outcome;
    }),
  );
}
