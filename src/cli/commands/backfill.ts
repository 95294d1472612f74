import { msg } from '../../messages/message.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { outcomeJson, outcomeText, planText } from '../text.js';

/** `backfill`: run applied backfills again. */
export const registerBackfill: Register = (program, cli) => {
  addFlags(
    program
      .command('backfill')
      .description('run an applied backfill again for rows written since, or all of them'),
  )
    .argument('[name]', 'one backfill (default: all)')
    .addHelpText('after', '\nExample:\n  umzug-backfill backfill 002-order-times --rescan')
    .action(async (name: string | undefined, options: CliOptions) =>
      cli.run(options, async (migrator, presenter) => {
        const { translate } = presenter;
        const target = { name, rescan: options.rescan ?? false };
        if (options.dryRun) {
          const { planBackfill } = await import('../../migrate/plan.js');
          const plan = await planBackfill(migrator, target);
          return {
            json: { command: 'backfill', dryRun: true, ...plan },
            text: planText('backfill', plan, translate),
          };
        }
        const { backfill } = await import('../../migrate/backfill.js');
        const outcome = await backfill(migrator, target);
        const isIdle = outcome.ran.length + outcome.verifications.length === 0 && !outcome.error;
        const lines = isIdle
          ? [translate('Nothing to do: no row waits.')]
          : outcome.ran.map((ran) => translate(msg('ran {name} again', { name: ran })));
        return {
          json: outcomeJson('backfill', outcome),
          text: outcomeText(lines, outcome, presenter),
          error: outcome.error,
        };
      }),
    );
};
