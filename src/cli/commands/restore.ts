import { BackfillError } from '../../errors.js';
import { bytes } from '../../format.js';
import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import type { RestoreResult } from '../../migrate/restore.js';
import { shellWord } from '../../shell.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import type { Lines } from '../print.js';

function restoreText(outcome: RestoreResult, translate: Translate): Lines {
  const { from, bytes: size, path, isVerified, saved, wasDamaged, isReplaced, isCopyStale } = outcome;
  const unknown = isVerified
    ? []
    : ['The ledger does not know this file, so its contents were not compared.'];
  if (saved === undefined) {
    return [
      `Dry run of \`restore\`: nothing was written. It would write ${from} (${bytes(size)}) into ${path}.`,
      ...unknown,
    ].map(translate);
  }
  return [
    `Restored ${path} from ${from} (${bytes(size)}).`,
    ...unknown,
    wasDamaged
      ? `The store was damaged; its files as they were: ${saved}.`
      : `As it was before: ${saved}. To go back to that: umzug-backfill restore ${shellWord(saved)}`,
    ...(isCopyStale
      ? [
          'Other programs wrote until the last moment: what they wrote after that copy was begun is not in it.',
        ]
      : []),
    ...(isReplaced ? ['The file was replaced: restart every program that may have had the store open.'] : []),
  ].map(translate);
}

/** `restore`: bring the store back to a backup. */
export const registerRestore: Register = (program, cli) => {
  addFlags(
    program.command('restore').description('bring the store back to a backup, saving the present one first'),
  )
    .argument('[file]', 'the backup (default: the newest, if the ledger knows it)')
    .addHelpText('after', '\nExample:\n  umzug-backfill restore store.db.backup-20261125T013152Z')
    .action(async (file: string | undefined, options: CliOptions) =>
      cli.run(options, async (migrator, { translate }) => {
        if (migrator.postgres) throw noFileError();
        const { restore } = await import('../../migrate/restore.js');
        const outcome = await restore(migrator, file, options.dryRun);
        return {
          json: { command: 'restore', dryRun: options.dryRun ?? false, ...outcome },
          text: restoreText(outcome, translate),
        };
      }),
    );
};

const noFileError = (): BackfillError =>
  new BackfillError(
    'USAGE',
    msg('The command restore is for a store that is a file'),
    msg('Restore a database of a server by its own means, as pg_restore'),
  );
