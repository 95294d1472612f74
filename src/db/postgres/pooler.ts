import { BackfillError } from '../../errors.js';
import type { StopSignal } from '../../stop.js';
import { PostgresClient } from './client.js';

/** Pairs of looks at the two sessions: other clients of a pooler may take a session in between. */
const LOOKS = 3;

const sessionOf = async (client: PostgresClient): Promise<unknown> =>
  (await client.query('SELECT pg_catalog.pg_backend_pid()')).rows[0]?.[0];

/**
 * Refuses a pooler that gives each transaction another session: locks of a session, and what is set in it, would not be this process's.
 * Seen by two connections at once that have one session, or by one that has two. To be called before anything is set: another client of
 * the pool would get a session with that.
 *
 * @param name what the server calls the second connection
 * @throws {BackfillError} `POOLER_REFUSED`
 * @see https://www.pgbouncer.org/features.html
 */
export async function refusePooler(
  client: PostgresClient,
  name: string,
  signal: StopSignal | undefined,
): Promise<void> {
  const other = await PostgresClient.open(client.address, name, signal);
  try {
    const [first, second] = [new Set<unknown>(), new Set<unknown>()];
    for (let i = 0; i < LOOKS; i += 1) {
      first.add(await sessionOf(client));
      second.add(await sessionOf(other));
    }
    const isApart = first.size === 1 && second.size === 1 && ![...first].some((pid) => second.has(pid));
    if (isApart) return;
  } finally {
    await other.close();
  }
  throw new BackfillError(
    'POOLER_REFUSED',
    'The connection goes through a pooler that gives each transaction another session',
    'Name the server itself in --database-url, or a pool in session mode',
  );
}
