import { msg } from '../../messages/message.js';
import type { StoreCommand } from '../cli.js';
import { table } from '../table.js';

/** Lists what was skipped, and why. */
export const skipsCommand: StoreCommand = {
  name: 'skips',
  description: 'list the rows and cells that were skipped, with the reason',
  argument: ['[name]', 'one backfill (default: all)'],
  example: 'skips 002-order-times',
  async run(migrator, { args: [name], presenter: { translate } }) {
    const { skips } = await import('../../migrate/status.js');
    const found = await skips(migrator, name);
    const rows = found.flatMap((entry) =>
      entry.skips.map(({ key, target, reason }) => [
        entry.backfill,
        String(key),
        target === '*' ? translate(msg('the row')) : target,
        reason,
      ]),
    );
    const heads = [msg('backfill'), msg('key'), msg('what'), msg('reason')].map(translate);
    return {
      json: { command: 'skips', backfills: found },
      text: rows.length > 0 ? table(heads, rows) : [msg('Nothing was skipped.')],
    };
  },
};
