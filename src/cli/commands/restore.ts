import { BackfillError } from '../../errors.js';
import { bytes } from '../../format.js';
import { type Message, msg } from '../../messages/message.js';
import type { RestoreResult } from '../../migrate/restore.js';
import { shellWord } from '../../shell.js';
import type { StoreCommand } from '../cli.js';

function restoreText(outcome: RestoreResult): readonly Message[] {
  const { from, path, isVerified, saved, wasDamaged, isReplaced, isCopyStale } = outcome;
  const size = bytes(outcome.bytes);
  const unknown = isVerified
    ? []
    : [msg('The ledger has no record of this file, so its contents were not compared.')];
  if (saved === undefined) {
    return [
      msg('Dry run of `restore`: nothing was written. It would write {from} ({size}) into {path}.', {
        from,
        size,
        path,
      }),
      ...unknown,
    ];
  }
  return [
    msg('Restored {path} from {from} ({size}).', { path, from, size }),
    ...unknown,
    wasDamaged
      ? msg('The store was damaged; its files are kept as {saved}.', { saved })
      : msg('The store as it was: {saved}. To restore that: umzug-backfill restore {file}', {
          saved,
          file: shellWord(saved),
        }),
    ...(isCopyStale
      ? [
          msg(
            'Other programs wrote during the restore; that copy does not contain what they wrote after it was started.',
          ),
        ]
      : []),
    ...(isReplaced
      ? [msg('The file was replaced: restart every program that may have had the store open.')]
      : []),
  ];
}

/** Restores the store from a backup. */
export const restoreCommand: StoreCommand = {
  name: 'restore',
  description: 'restore the store from a backup, saving the present one first',
  argument: ['[file]', 'the backup (default: the newest, if the ledger has a record of it)'],
  example: 'restore store.db.backup-20261125T013152Z',
  async run(migrator, { options, args: [file] }) {
    if (migrator.postgres) throw noFileError();
    const { restore } = await import('../../migrate/restore.js');
    const outcome = await restore(migrator, file, options.dryRun);
    return {
      json: { command: 'restore', dryRun: options.dryRun ?? false, ...outcome },
      text: restoreText(outcome),
    };
  },
};

const noFileError = (): BackfillError =>
  new BackfillError(
    'USAGE',
    msg('The command restore is for a file'),
    msg('Restore a PostgreSQL database with its own tools, such as pg_restore'),
  );
