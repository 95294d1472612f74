import { findOpening, isRoot } from '../db/trust.js';
import { BackfillError } from '../errors.js';
import { shellWord } from '../shell.js';

/** Whether code is run whoever may write it. */
export interface TrustsCode {
  /** Whether root runs the config and the steps also if other users own them or may write them. Default false: they are refused. */
  readonly trustsConfig?: boolean | undefined;
}

/**
 * Refuses to run a config or a step as root if another user owns it or may write it, or a folder or link on its path.
 *
 * @throws {BackfillError} `CONFIG_UNTRUSTED`
 * @see https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
 */
export function refuseOthersCode(file: string, { trustsConfig = false }: TrustsCode): void {
  if (trustsConfig || !isRoot()) return;
  const opening = findOpening(file, { contents: true });
  if (!opening) return;
  const { path, by, owner } = opening;
  const isOwner = by === 'owner';
  throw new BackfillError(
    'CONFIG_UNTRUSTED',
    isOwner
      ? `Root does not run ${file}: user id ${owner} owns ${path}`
      : by === 'group'
        ? `Root does not run ${file}: the group of ${path} may change it`
        : `Root does not run ${file}: every user may change ${path}`,
    isOwner
      ? `Put sudo -u '#${owner}' before the command, so that this user runs it; or pass --trust-config if root may run what they write`
      : `Remove that permission: chmod go-w ${shellWord(path)}; or pass --trust-config if root may run what they write`,
  );
}
