import { Option } from 'commander';
import { DEPLOY_LOCK_TIMEOUT_MS } from '../../deploy/deploy.js';
import { EXIT } from '../../errors.js';
import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import type { Status } from '../../migrator/status.js';
import type { CommandResult, Register } from '../cli.js';
import { type CommonOptions, withUpdateOptions } from '../options.js';
import { outcomeJson, outcomeText, planText } from '../text.js';
import { NOTHING_TO_DO, upLines } from './up.js';

interface DeployFlags extends CommonOptions {
  readonly check?: boolean;
  readonly backfills: 'wait' | 'background';
}

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
  withUpdateOptions(
    program
      .command('deploy')
      .description(
        'bring the store up to date before the application starts; cheap where nothing is to be done',
      ),
    { lockTimeoutSeconds: DEPLOY_LOCK_TIMEOUT_MS / 1000 },
  )
    .option('--check', 'write nothing; exit 3 when there is something to do (default: do it)')
    .addOption(
      new Option(
        '--backfills <when>',
        'run backfills now, or only begin them and leave the rest to `up`, or to startBackfills() in the application',
      )
        .choices(['wait', 'background'])
        .default('wait'),
    )
    .addHelpText('after', '\nExample:\n  umzug-backfill deploy --backfills background && exec node server.js')
    .action(async (options: DeployFlags) =>
      cli.run(options, async (migrator, presenter) => {
        const { translate } = presenter;
        if (options.check) {
          const { status } = await import('../../migrator/status.js');
          return checked(await status(migrator, { probeRows: Number.POSITIVE_INFINITY }), translate);
        }
        if (options.dryRun) {
          const { planUp } = await import('../../migrator/plan.js');
          const plan = await planUp(migrator);
          return {
            json: { command: 'deploy', dryRun: true, ...plan },
            text: planText('deploy', plan, translate),
          };
        }
        const { up } = await import('../../migrator/up.js');
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
