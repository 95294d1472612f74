import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import type { DownResult } from '../../migrate/down.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { outcomeJson, outcomeText, planText, revertLines } from '../text.js';

function downLines({ reverted, cells, size }: DownResult, translate: Translate): string[] {
  if (!size) return [translate('Nothing to do: no step is applied.')];
  return [
    ...cells.flatMap(({ backfill, ...found }) =>
      revertLines(found, translate).map((line) => `${backfill}${translate(': ')}${line}`),
    ),
    ...reverted.map((name) => translate(msg('reverted {name}', { name }))),
  ];
}

/** `down`: revert steps, last first. */
export const registerDown: Register = (program, cli) => {
  addFlags(program.command('down').description('revert the last step, or more'))
    .addHelpText('after', '\nExample:\n  umzug-backfill down --to 0 --yes')
    .action(async (options: CliOptions) =>
      cli.run(options, async (migrator, presenter) => {
        const target = { to: options.to === '0' ? (0 as const) : options.to, step: options.step };
        if (options.dryRun) {
          const { planDown } = await import('../../migrate/plan.js');
          const plan = await planDown(migrator, target);
          return {
            json: { command: 'down', dryRun: true, ...plan },
            text: planText('down', plan, presenter.translate),
          };
        }
        const { down } = await import('../../migrate/down.js');
        const outcome = await down(migrator, target);
        return {
          json: outcomeJson('down', outcome),
          text: outcomeText(downLines(outcome, presenter.translate), outcome, presenter),
          error: outcome.error,
        };
      }),
    );
};
