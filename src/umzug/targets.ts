import type { MigrateDownOptions, MigrateUpOptions } from 'umzug';
import { BackfillError } from '../errors.js';
import type { StepRecord } from '../ledger/records.js';
import { msg } from '../messages/message.js';
import type { DownTarget } from '../migrator/down.js';
import type { UpTarget } from '../migrator/up.js';
import { refuseUnknownOptions } from '../options.js';

/** Reads the ledger's steps: asked only where names are given. */
export type ReadSteps = () => Promise<readonly StepRecord[]>;

/**
 * What umzug's options of `up` ask for.
 *
 * @throws {BackfillError} `USAGE` for an unknown option, for a name that is applied, for `rerun: 'ALLOW'`
 */
export async function upTarget(options: MigrateUpOptions, read: ReadSteps): Promise<UpTarget> {
  const { to, step, names, isSkipping } = check(options, 'up()');
  const records = names && !isSkipping ? await read() : [];
  const applied = records.find(({ name, status }) => status === 'applied' && names?.includes(name));
  if (applied) {
    throw new BackfillError(
      'USAGE',
      msg('The step {name} is applied already', { name: applied.name }),
      msg("Leave it out, or pass rerun: 'SKIP'; a backfill runs again with backfill(NAME, { rescan: true })"),
    );
  }
  return { to: to === 0 ? undefined : to, step, names };
}

/**
 * What umzug's options of `down` ask for. A name that is not applied is refused later, with `STEP_NOT_APPLIED`.
 *
 * @throws {BackfillError} `USAGE` for an unknown option, for `rerun: 'ALLOW'`
 */
export async function downTarget(options: MigrateDownOptions, read: ReadSteps): Promise<DownTarget> {
  const { to, step, names, isSkipping } = check(options, 'down()');
  if (!names || !isSkipping) return { to, step, names };
  const begun = (await read()).map(({ name }) => name);
  return { names: names.filter((name) => begun.includes(name)) };
}

function check(options: MigrateUpOptions | MigrateDownOptions, what: string) {
  refuseUnknownOptions(options, ['to', 'step', 'migrations', 'rerun'], what, 'USAGE');
  const { to, step, migrations, rerun = 'THROW' } = options;
  if (rerun !== 'THROW' && rerun !== 'SKIP') {
    throw new BackfillError(
      'USAGE',
      msg('Expected `rerun` in {what} to be THROW or SKIP, got `{value}`', { what, value: String(rerun) }),
      msg('No step runs over what it has done; a backfill runs again with backfill(NAME, { rescan: true })'),
    );
  }
  return { to, step, names: migrations, isSkipping: rerun === 'SKIP' };
}
