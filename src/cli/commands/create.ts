import { Option } from 'commander';
import type { Register } from '../cli.js';
import { type ReaderOptions, withConfigOptions, withReaderOptions } from '../options.js';

/** `create`: write a step from a template. */
export const registerCreate: Register = (program, cli) => {
  withConfigOptions(
    withReaderOptions(
      program
        .command('create')
        .description('write a step file from a template, numbered to come after all others')
        .argument('<name>', 'what the step does, as order-times; its number is put before it')
        .addOption(
          new Option(
            '--backfill',
            'a backfill (default: a schema step, which adds columns and indexes)',
          ).conflicts('sql'),
        )
        .option('--sql', 'a step of plain SQL (default: a schema step)')
        .option('--dry-run', 'say what would be written, write nothing (default: off)'),
    ),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill create order-times --backfill')
    .action(
      async (
        name: string,
        options: ReaderOptions & {
          readonly backfill?: boolean;
          readonly sql?: boolean;
          readonly dryRun?: boolean;
        },
      ) =>
        cli.runHere(options, async (folder, { say }, now) => {
          const { createStep } = await import('../../scaffold/create.js');
          const { backfill, sql, dryRun, trustConfig: trustsConfig } = options;
          const kind = backfill ? 'backfill' : sql ? 'sql' : 'schema';
          const result = await createStep(folder, name, { kind, isDryRun: dryRun, now, trustsConfig });
          return {
            json: { command: 'create', dryRun: dryRun ?? false, ...result },
            text: dryRun
              ? [say(`Dry run of \`create\`: nothing was written. It would write ${result.file}.`)]
              : [
                  say(`Wrote ${result.file}.`),
                  ...(/ts$/.test(result.file)
                    ? [say('Compile it before it is looked at or run: npx tsc.')]
                    : []),
                  say(
                    'Put your own names into it; umzug-backfill lint names what is unsafe, umzug-backfill up --dry-run says what it would do.',
                  ),
                ],
          };
        }),
    );
};
