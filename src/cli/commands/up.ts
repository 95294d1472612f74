import type { UpOutcome, UpTarget } from '../../migrator/up.js';
import type { Register } from '../cli.js';
import { type CommonOptions, positiveInteger, withUpdateOptions } from '../options.js';
import { outcomeJson, outcomeText, planText } from '../text.js';

/** What an `up` has done, a line each. */
export function upLines({ applied, caughtUp, remade, left, size }: UpOutcome): string[] {
  if (!size && left.length === 0) return ['Nothing to do: every step is applied and verified.'];
  return [
    ...remade.map((name) => `made again what was missing of ${name}`),
    ...caughtUp.map((name) => `caught up ${name}`),
    ...applied.map((name) => `applied ${name}`),
  ];
}

/** `up`: apply pending steps, verify, catch up. */
export const registerUp: Register = (program, cli) => {
  withUpdateOptions(
    program.command('up').description('apply pending steps, verify the backfills, catch up rows that wait'),
  )
    .option('--to <name>', 'apply up to and including this step (default: all)')
    .option('--step <count>', 'apply this many steps (default: all)', positiveInteger)
    .addHelpText('after', '\nExample:\n  umzug-backfill up --db-path data/store.db --dry-run')
    .action(async (options: CommonOptions & UpTarget) =>
      cli.run(options, async (migrator) => {
        if (options.dryRun) {
          const { planUp } = await import('../../migrator/plan.js');
          const plan = await planUp(migrator, options);
          return { json: { command: 'up', dryRun: true, ...plan }, text: planText('up', plan) };
        }
        const { up } = await import('../../migrator/up.js');
        const outcome = await up(migrator, options);
        return {
          json: outcomeJson('up', outcome),
          text: outcomeText(upLines(outcome), outcome),
          error: outcome.error,
        };
      }),
    );
};
