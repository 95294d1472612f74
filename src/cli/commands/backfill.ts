import { msg } from '../../messages/message.js';
import type { Register } from '../cli.js';
import { type CommonOptions, withUpdateOptions } from '../options.js';
import { outcomeJson, outcomeText, planText } from '../text.js';

/** `backfill`: run applied backfills again. */
export const registerBackfill: Register = (program, cli) => {
  withUpdateOptions(
    program
      .command('backfill')
      .description('run an applied backfill again for rows written since, or all of them'),
  )
    .argument('[name]', 'one backfill (default: all)')
    .option('--rescan', 'begin at the first key and try skips again (default: behind the last watermark)')
    .addHelpText('after', '\nExample:\n  umzug-backfill backfill 002-order-times --rescan')
    .action(async (name: string | undefined, options: CommonOptions & { readonly rescan?: boolean }) =>
      cli.run(options, async (migrator, presenter) => {
        const { translate } = presenter;
        const target = { name, rescan: options.rescan ?? false };
        if (options.dryRun) {
          const { planBackfill } = await import('../../migrator/plan.js');
          const plan = await planBackfill(migrator, target);
          return {
            json: { command: 'backfill', dryRun: true, ...plan },
            text: planText('backfill', plan, translate),
          };
        }
        const { backfill } = await import('../../migrator/backfill.js');
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
