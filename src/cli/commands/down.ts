import { msg } from '../../messages/message.js';
import type { DownResult } from '../../migrate/down.js';
import type { StoreCommand } from '../cli.js';
import { type Line, planResult, revertLines, runResult } from '../text.js';

function downLines({ reverted, cells, size }: DownResult): readonly Line[] {
  if (!size) return [msg('Nothing to do: no step is applied.')];
  return [
    ...cells.flatMap(({ backfill, ...found }) =>
      revertLines(found).map((line): Line => [backfill, msg(': '), line]),
    ),
    ...reverted.map((name) => msg('reverted {name}', { name })),
  ];
}

/** Reverts steps, last first. */
export const downCommand: StoreCommand = {
  name: 'down',
  description: 'revert the last step, or more',
  example: 'down --to 0 --yes',
  async run(migrator, { options, presenter }) {
    const target = { to: options.to === '0' ? (0 as const) : options.to, step: options.step };
    if (options.dryRun) {
      const { planDown } = await import('../../migrate/plan.js');
      return planResult('down', await planDown(migrator, target), presenter);
    }
    const { down } = await import('../../migrate/down.js');
    const outcome = await down(migrator, target);
    return runResult('down', downLines(outcome), outcome, presenter);
  },
};
