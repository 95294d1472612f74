import { msg } from '../../messages/message.js';
import type { FolderCommand } from '../cli.js';
import type { Line } from '../text.js';

/** Makes the current folder a project. */
export const initCommand: FolderCommand = {
  name: 'init',
  description: 'make the current folder a project: write its config and the folder of its steps',
  example: 'init --db-path data/shop.db',
  async runIn(folder, { options }) {
    const { initProject } = await import('../../scaffold/init.js');
    const result = initProject(folder, { store: options.dbPath, dryRun: options.dryRun });
    const { config, folders, isInstalled, isCompiled } = result;
    const next = [
      ...(isInstalled ? [] : ['npm install umzug-backfill']),
      ...(options.dbPath === undefined ? [msg('set the store in {file}', { file: config })] : []),
      ...(isCompiled ? [msg('compile it to dist: npx tsc --outDir dist')] : []),
      msg('write a step: umzug-backfill create NAME'),
      msg('check the plan: umzug-backfill up --dry-run'),
    ];
    return {
      json: { command: 'init', dryRun: options.dryRun ?? false, ...result },
      text: [
        ...(options.dryRun ? [msg('Dry run of `init`: nothing was written. It would do this:')] : []),
        msg('The config is {file}.', { file: config }),
        ...folders.map((name) => msg('Steps go into {folder}.', { folder: name })),
        msg('Next:'),
        ...next.map((line): Line => ['  ', line]),
      ],
    };
  },
};
