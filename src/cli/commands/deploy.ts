import { EXIT } from '../../errors.js';
import { msg } from '../../messages/message.js';
import type { Status } from '../../migrate/status.js';
import { DEPLOY_LOCK_TIMEOUT_MS } from '../../option-table.js';
import type { CommandResult, StoreCommand } from '../cli.js';
import { planResult, runResult } from '../text.js';
import { NOTHING_TO_DO, upLines } from './up.js';

/** Returns the result of `--check`: the steps that are not applied, and whether anything else is pending. */
function checkResult({ steps, isPending }: Status): CommandResult {
  const pending = steps.filter(({ state }) => state !== 'applied').map(({ name }) => name);
  return {
    json: { command: 'deploy', check: true, isPending, pending },
    text: [
      isPending === false
        ? NOTHING_TO_DO
        : pending.length > 0
          ? msg('Pending changes: {names}. Run: umzug-backfill deploy', { names: pending })
          : msg('Pending changes. Run: umzug-backfill deploy'),
    ],
    exitCode: isPending === false ? EXIT.done : EXIT.pending,
  };
}

/** Does what `up` does, for an unattended deploy. */
export const deployCommand: StoreCommand = {
  name: 'deploy',
  description: 'bring the store up to date before the application starts; fast if nothing is pending',
  example: 'deploy --backfills background && exec node server.js',
  async run(migrator, { options, presenter }) {
    if (options.check) {
      const { status } = await import('../../migrate/status.js');
      return checkResult(await status(migrator, { probeRows: Number.POSITIVE_INFINITY }));
    }
    if (options.dryRun) {
      const { planUp } = await import('../../migrate/plan.js');
      return planResult('deploy', await planUp(migrator), presenter);
    }
    const { up } = await import('../../migrate/up.js');
    const outcome = await up(
      { ...migrator, lockTimeoutMs: migrator.lockTimeoutMs ?? DEPLOY_LOCK_TIMEOUT_MS },
      { deferBackfills: options.backfills === 'background' },
    );
    const deferred = outcome.deferred.map((name) =>
      msg('deferred to the background: {name}. Run: umzug-backfill up', { name }),
    );
    return runResult('deploy', [...upLines(outcome), ...deferred], outcome, presenter);
  },
};
