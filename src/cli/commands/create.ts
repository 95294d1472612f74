import { msg } from '../../messages/message.js';
import type { FolderCommand } from '../cli.js';

/** Writes a step from a template. */
export const createCommand: FolderCommand = {
  name: 'create',
  description: 'write a step file from a template, numbered to come after all others',
  argument: ['<name>', 'purpose of the step, such as order-times; its number is put before it'],
  example: 'create order-times --backfill',
  async runIn(folder, { options, args: [name = ''], now }) {
    const { createStep } = await import('../../scaffold/create.js');
    const { backfill, sql, dryRun, trustConfig } = options;
    const kind = backfill ? 'backfill' : sql ? 'sql' : 'schema';
    const result = await createStep(folder, name, { kind, dryRun, now, trustConfig });
    const { file } = result;
    return {
      json: { command: 'create', dryRun: dryRun ?? false, ...result },
      text: dryRun
        ? [msg('Dry run of `create`: nothing was written. It would write {file}.', { file })]
        : [
            msg('Wrote {file}.', { file }),
            ...(file.endsWith('ts') ? [msg('Compile it before it is checked or run: npx tsc.')] : []),
            msg(
              'Replace the example names in it, then check it with: umzug-backfill lint, umzug-backfill up --dry-run',
            ),
          ],
    };
  },
};
