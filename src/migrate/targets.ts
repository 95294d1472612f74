import type { MigrateDownOptions, MigrateUpOptions } from 'umzug';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { refuseUnknownOptions } from '../options.js';
import type { MigrateOptions } from './types.js';

/**
 * Returns umzug's options of `up()` and `down()`, checked.
 *
 * @throws {BackfillError} `USAGE` for an unknown option, and for `rerun: 'ALLOW'`
 */
export function checkSelection(
  options: MigrateUpOptions | MigrateDownOptions | MigrateOptions,
  what: string,
): MigrateOptions {
  refuseUnknownOptions(options, ['to', 'step', 'migrations', 'rerun'], what, 'USAGE');
  const { to, step, migrations, rerun = 'THROW' } = options;
  if (rerun === 'THROW' || rerun === 'SKIP') return { to, step, migrations, rerun };
  throw new BackfillError(
    'USAGE',
    msg('Expected `rerun` in {what} to be THROW or SKIP, got `{value}`', { what, value: String(rerun) }),
    msg('No step runs over what it has done; a backfill runs again with backfill(NAME, { rescan: true })'),
  );
}
