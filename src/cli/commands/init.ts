import type { Register } from '../cli.js';
import { type ReaderOptions, withReaderOptions } from '../options.js';

/** `init`: make the current folder a project. */
export const registerInit: Register = (program, cli) => {
  withReaderOptions(
    program
      .command('init')
      .description('make the current folder a project: write its config and the folder of its steps')
      .option('--db-path <path>', 'the store, as the config is to name it (default: store.db)')
      .option('--dry-run', 'say what would be written, write nothing (default: off)'),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill init --db-path data/shop.db')
    .action(async (options: ReaderOptions & { readonly dryRun?: boolean }) =>
      cli.runHere(options, async (folder, { say }) => {
        const { initProject } = await import('../../scaffold/init.js');
        const result = initProject(folder, { store: options.dbPath, isDryRun: options.dryRun });
        const { config, folders, isInstalled, isCompiled } = result;
        const next = [
          ...(isInstalled ? [] : ['npm install umzug-backfill']),
          ...(options.dbPath === undefined ? [say(`name the store in ${config}`)] : []),
          ...(isCompiled ? [say('compile it to dist: npx tsc --outDir dist')] : []),
          say('write a step: umzug-backfill create NAME'),
          say('see what it would do: umzug-backfill up --dry-run'),
        ];
        const lines = [
          ...(options.dryRun ? [say('Dry run of `init`: nothing was written. It would do this:')] : []),
          say(`The config is ${config}.`),
          ...folders.map((name) => say(`Steps go into ${name}.`)),
          say('Next:'),
          ...next.map((line) => `  ${line}`),
        ];
        return {
          json: { command: 'init', dryRun: options.dryRun ?? false, ...result },
          text: lines,
        };
      }),
    );
};
