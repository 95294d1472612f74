import { storeAddress, withKnownPlaces, withServerHints } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { loadProject } from '../config.js';
import { DEPLOY_LOCK_TIMEOUT_MS, RUN_OPTIONS, type RunSettings } from '../option-table.js';
import { checkOptions } from '../options.js';
import type { TrustsCode } from '../steps/load.js';
import type { PublicResult } from './change.js';
import type { UpResult } from './up.js';

/** Options of {@link migrateOnDeploy}: those of a run, with a lock timeout of 600,000 by default, and these. */
export interface DeployOptions extends RunSettings, TrustsCode {
  /** Folder of the config file. Default: the current one. */
  readonly folder?: string | undefined;
  /** Path of the store, or a URL of PostgreSQL. Default: that of the environment or the config. */
  readonly path?: string | undefined;
  /** Whether to run backfills, or to leave them to `startBackfills()` or another process. Default `wait`. */
  readonly backfills?: 'wait' | 'background' | undefined;
}

const DEPLOY_OPTIONS = {
  ...RUN_OPTIONS,
  backfills: COMMAND_OPTIONS.backfills,
  trustConfig: COMMAND_OPTIONS.trustConfig,
};

/** Result of a deploy: that of `up`, with its warnings in English, without its error, which is thrown. */
export type DeployResult = PublicResult<UpResult>;

/**
 * Brings the store up to date before the application starts: waits for another run, applies pending steps, catches up and verifies. If there is
 * nothing to do, it writes nothing and takes a few milliseconds. Otherwise it keeps this thread busy, so call it before serving.
 *
 * @param options see {@link DeployOptions}
 * @returns what was done; `deferred` names backfills that `backfills: 'background'` left to a later run
 * @throws {BackfillError} `USAGE` if an option is unknown or of the wrong type, and the codes of `up`, including `VERIFICATION_FAILED`
 *
 * @example
 * await migrateOnDeploy({ backfills: 'background' });
 * const backfills = startBackfills(); // and now serve
 */
export async function migrateOnDeploy(options: DeployOptions = {}): Promise<DeployResult> {
  checkOptions(options, DEPLOY_OPTIONS, 'migrateOnDeploy()', 'USAGE', ['folder', 'path']);
  const { folder = process.cwd(), path, backfills, trustConfig, ...given } = options;
  const { lockTimeoutMs = DEPLOY_LOCK_TIMEOUT_MS, ...settings } = given;
  const project = await loadProject(folder, { trustConfig });
  // Not with this module, because every step file imports this package.
  const [{ publicResult }, { up }] = await Promise.all([import('./change.js'), import('./up.js')]);
  const address = storeAddress(project.config, { dbPath: path }, process.env);
  return await withServerHints(address, () =>
    withKnownPlaces(project.config, address, process.env, async () => {
      const result = await up(
        { ...settings, lockTimeoutMs, project, ...address },
        { deferBackfills: backfills === 'background' },
      );
      return publicResult(result);
    }),
  );
}
