import { EXIT } from '../../errors.js';
import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import type { Status } from '../../migrate/status.js';
import { DEPLOY_LOCK_TIMEOUT_MS } from '../../option-table.js';
import type { CommandResult, Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { outcomeJson, outcomeText, planText } from '../text.js';
import { NOTHING_TO_DO, upLines } from './up.js';

/** What `--check` says: the steps that are not applied, and whether anything else is to be done. */
function checked({ steps, isPending }: Status, translate: Translate): CommandResult {
  const pending = steps.filter(({ state }) => state !== 'applied').map(({ name }) => name);
  const text =
    isPending === false
      ? NOTHING_TO_DO
      : `There is work for: umzug-backfill deploy${pending.length > 0 ? ` (${pending.join(', ')})` : ''}`;
  return {
    json: { command: 'deploy', check: true, isPending, pending },
    text: [translate(text)],
    exitCode: isPending === false ? EXIT.done : EXIT.pending,
  };
}

/** `deploy`: what `up` does, for a deploy that nobody watches. */
export const registerDeploy: Register = (program, cli) => {
  addFlags(
    program
      .command('deploy')
      .description(
        'bring the store up to date before the application starts; cheap where nothing is to be done',
      ),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill deploy --backfills background && exec node server.js')
    .action(async (options: CliOptions) =>
      cli.run(options, async (migrator, presenter) => {
        const { translate } = presenter;
        if (options.check) {
          const { status } = await import('../../migrate/status.js');
          return checked(await status(migrator, { probeRows: Number.POSITIVE_INFINITY }), translate);
        }
        if (options.dryRun) {
          const { planUp } = await import('../../migrate/plan.js');
          const plan = await planUp(migrator);
          return {
            json: { command: 'deploy', dryRun: true, ...plan },
            text: planText('deploy', plan, translate),
          };
        }
        const { up } = await import('../../migrate/up.js');
        const outcome = await up(
          { ...migrator, lockTimeoutMs: migrator.lockTimeoutMs ?? DEPLOY_LOCK_TIMEOUT_MS },
          { deferBackfills: options.backfills === 'background' },
        );
        const left = outcome.deferred.map((name) =>
          translate(msg('left to the background: {name} (umzug-backfill up does it)', { name })),
        );
        return {
          json: outcomeJson('deploy', outcome),
          text: outcomeText([...upLines(outcome, translate), ...left], outcome, presenter),
          error: outcome.error,
        };
      }),
    );
};
