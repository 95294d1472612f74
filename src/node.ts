import { BackfillError } from './errors.js';
import { msg } from './messages/message.js';
import { NODE_VERSIONS } from './package.js';
import { compareVersions, parseVersion, type Version } from './version.js';

/**
 * Refuses a Node version older than the minimum of its major version. A major version that `engines` does not list, such as a
 * newer one, is accepted.
 *
 * @throws {BackfillError} `NODE_TOO_OLD`
 */
export function requireNode(): void {
  const own = numbersOf(process.versions.node);
  const oldest = NODE_VERSIONS.split('||').map(numbersOf);
  const [first = own] = oldest;
  const least = oldest.find(([line]) => line === own[0]) ?? first;
  if (compareVersions(own, least) >= 0) return;
  throw new BackfillError(
    'NODE_TOO_OLD',
    msg('Node {node} is too old: this program requires {versions}', {
      node: process.versions.node,
      versions: NODE_VERSIONS,
    }),
    msg('Install a supported Node, then recompile the SQLite driver: npm rebuild better-sqlite3'),
  );
}

const numbersOf = (text: string): Version => parseVersion(text.trim().replace('^', '')) ?? [];
