import { msg } from '../../messages/message.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';

/** `create`: write a step from a template. */
export const registerCreate: Register = (program, cli) => {
  addFlags(
    program
      .command('create')
      .description('write a step file from a template, numbered to come after all others')
      .argument('<name>', 'purpose of the step, such as order-times; its number is put before it'),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill create order-times --backfill')
    .action(async (name: string, options: CliOptions) =>
      cli.runWithoutStore(options, async (folder, { translate }, now) => {
        const { createStep } = await import('../../scaffold/create.js');
        const { backfill, sql, dryRun, trustConfig } = options;
        const kind = backfill ? 'backfill' : sql ? 'sql' : 'schema';
        const result = await createStep(folder, name, { kind, dryRun, now, trustConfig });
        return {
          json: { command: 'create', dryRun: dryRun ?? false, ...result },
          text: dryRun
            ? [
                translate(
                  msg('Dry run of `create`: nothing was written. It would write {file}.', {
                    file: result.file,
                  }),
                ),
              ]
            : [
                translate(msg('Wrote {file}.', { file: result.file })),
                ...(/ts$/.test(result.file)
                  ? [translate('Compile it before it is looked at or run: npx tsc.')]
                  : []),
                translate(
                  'Put your own names into it; umzug-backfill lint names what is unsafe, umzug-backfill up --dry-run says what it would do.',
                ),
              ],
        };
      }),
    );
};
