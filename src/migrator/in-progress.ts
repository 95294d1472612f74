import { holderText } from '../db/connector.js';
import { BackfillError } from '../errors.js';
import { msg } from '../messages/message.js';
import { connectorFor, type MigratorOptions } from './session.js';

/** Returns what a command rejects with: where a step is not applied because a run is in progress, an error that says so. */
export async function besideRun(
  options: Pick<MigratorOptions, 'path' | 'postgres'>,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof BackfillError) || error.code !== 'STEP_NOT_APPLIED') return error;
  const { state, holder } = await (await connectorFor(options)).readLockState();
  if (state !== 'held') return error;
  const who = holder ? holderText(holder) : 'a process that has just begun';
  return new BackfillError(
    error.code,
    msg('{message}, and a run is in progress: {who}', { message: error.message, who }),
    msg('Wait until it has ended, then run the same command again; umzug-backfill status says how far it is'),
    { cause: error },
  );
}
