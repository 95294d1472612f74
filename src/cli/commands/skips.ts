import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { table } from '../table.js';

/** `skips`: what was left alone, and why. */
export const registerSkips: Register = (program, cli) => {
  addFlags(
    program.command('skips').description('list the rows and cells that were left alone, with the reason'),
  )
    .argument('[name]', 'one backfill (default: all)')
    .addHelpText('after', '\nExample:\n  umzug-backfill skips 002-order-times')
    .action(async (name: string | undefined, options: CliOptions) =>
      cli.run(options, async (migrator, { translate }) => {
        const { skips } = await import('../../migrate/status.js');
        const found = await skips(migrator, name);
        const rows = found.flatMap((entry) =>
          entry.skips.map(({ key, target, reason }) => [
            entry.backfill,
            String(key),
            target === '*' ? translate('the row') : target,
            reason,
          ]),
        );
        return {
          json: { command: 'skips', backfills: found },
          text:
            rows.length > 0
              ? table([translate('backfill'), translate('key'), translate('what'), translate('reason')], rows)
              : [translate('Nothing was skipped.')],
        };
      }),
    );
};
