import { channel } from 'node:diagnostics_channel';

/** What a listener is told: where a run is, and in which statement or step. */
export interface Failpoint {
  /** `lock`, `copy`, `statement`, `commit`, `restore` or `rotate`. */
  readonly at: string;
  /** The SQL, or the step of a copy. */
  readonly detail: string;
}

/** Name of the channel that failpoints are published on. */
export const FAILPOINT_CHANNEL = 'umzug-backfill:failpoint';

const points = channel(FAILPOINT_CHANNEL);

/**
 * Marks a window between two durable effects, so that a test can end the process, or fill the disk, right there.
 * Without a listener, which only tests have, it does nothing: no environment variable of a user's makes a run fail.
 *
 * @see https://nodejs.org/api/diagnostics_channel.html
 */
export function failpoint(at: string, detail: string): void {
  if (points.hasSubscribers) points.publish({ at, detail } satisfies Failpoint);
}
