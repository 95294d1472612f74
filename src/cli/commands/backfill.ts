import { msg } from '../../messages/message.js';
import type { StoreCommand } from '../cli.js';
import { planResult, runResult } from '../text.js';

/** Runs applied backfills again. */
export const backfillCommand: StoreCommand = {
  name: 'backfill',
  description: 'run an applied backfill again for rows written since, or for all rows',
  argument: ['[name]', 'one backfill (default: all)'],
  example: 'backfill 002-order-times --rescan',
  async run(migrator, { options, args: [name], presenter }) {
    const target = { name, rescan: options.rescan ?? false };
    if (options.dryRun) {
      const { planBackfill } = await import('../../migrate/plan.js');
      return planResult('backfill', await planBackfill(migrator, target), presenter);
    }
    const { backfill } = await import('../../migrate/up.js');
    const outcome = await backfill(migrator, target);
    const isIdle = outcome.ran.length + outcome.verifications.length === 0 && !outcome.error;
    const lines = isIdle
      ? [msg('Nothing to do: no rows pending catch-up.')]
      : outcome.ran.map((ran) => msg('re-ran {name}', { name: ran }));
    return runResult('backfill', lines, outcome, presenter);
  },
};
