import { msg } from '../../messages/message.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';

/** `init`: make the current folder a project. */
export const registerInit: Register = (program, cli) => {
  addFlags(
    program
      .command('init')
      .description('make the current folder a project: write its config and the folder of its steps'),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill init --db-path data/shop.db')
    .action(async (options: CliOptions) =>
      cli.runWithoutStore(options, async (folder, { translate }) => {
        const { initProject } = await import('../../scaffold/init.js');
        const result = initProject(folder, { store: options.dbPath, dryRun: options.dryRun });
        const { config, folders, isInstalled, isCompiled } = result;
        const next = [
          ...(isInstalled ? [] : ['npm install umzug-backfill']),
          ...(options.dbPath === undefined
            ? [translate(msg('name the store in {file}', { file: config }))]
            : []),
          ...(isCompiled ? [translate('compile it to dist: npx tsc --outDir dist')] : []),
          translate('write a step: umzug-backfill create NAME'),
          translate('see what it would do: umzug-backfill up --dry-run'),
        ];
        const lines = [
          ...(options.dryRun ? [translate('Dry run of `init`: nothing was written. It would do this:')] : []),
          translate(msg('The config is {file}.', { file: config })),
          ...folders.map((name) => translate(msg('Steps go into {folder}.', { folder: name }))),
          translate('Next:'),
          ...next.map((line) => `  ${line}`),
        ];
        return {
          json: { command: 'init', dryRun: options.dryRun ?? false, ...result },
          text: lines,
        };
      }),
    );
};
