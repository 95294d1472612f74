import { BackfillError } from '../../errors.js';
import { readAddress } from './address.js';

// What a URL of PostgreSQL may say behind its `?`. The driver passes over what it does not know: a misspelt `sslmode` would
// mean a connection without encryption.

/** Parameters that node-postgres acts on, or this program. */
const KNOWN = [
  'user',
  'password',
  'host',
  'port',
  'application_name',
  'fallback_application_name',
  'client_encoding',
  'connect_timeout',
  'idle_in_transaction_session_timeout',
  'lock_timeout',
  'options',
  'query_timeout',
  'ssl',
  'sslcert',
  'sslkey',
  'sslmode',
  'sslnegotiation',
  'sslrootcert',
  'statement_timeout',
  'uselibpqcompat',
] as const;

/** How many letters of a slip may be wrong. */
const MAX_WRONG = 3;

/** The word that was probably meant, whatever its case: the one of several with the fewest letters to change, or undefined. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const distances = words.map((each) => distance(word.slice(0, 40).toLowerCase(), each));
  const least = Math.min(...distances);
  return least > MAX_WRONG ? undefined : words[distances.indexOf(least)];
}

/** How many letters one word has to be changed by to become the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...from].entries()) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j += 1) {
      const changed = (row[j] ?? 0) + (letter === to[j] ? 0 : 1);
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/**
 * Refuses parameters of a URL that are not known, or are given twice.
 *
 * @throws {BackfillError} `USAGE` naming the parameter and the nearest known one
 */
export function refuseUnknownParameters(url: string): void {
  const found = readAddress(url);
  const seen = new Set<string>();
  for (const name of found?.searchParams.keys() ?? []) {
    // A password with a `?` in it that is not encoded ends up here, up to its `@`.
    const isName = /^\w{1,40}$/.test(name) && !found?.search.includes('@');
    if (!(KNOWN as readonly string[]).includes(name)) {
      const meant = nearest(name, KNOWN);
      const known = `those that are known: ${KNOWN.join(', ')}`;
      throw new BackfillError(
        'USAGE',
        isName
          ? `The URL of the database has an unknown parameter, \`${name}\``
          : 'The URL of the database has an unknown parameter',
        !isName
          ? 'Leave it out, and write ?, & and # in a password as %3F, %26 and %23'
          : meant === undefined
            ? `Leave it out; ${known}`
            : `Write ${meant} or leave it out; ${known}`,
      );
    }
    if (seen.has(name)) {
      throw new BackfillError(
        'USAGE',
        `The URL of the database has the parameter \`${name}\` twice`,
        'Leave one of them out',
      );
    }
    seen.add(name);
  }
}
