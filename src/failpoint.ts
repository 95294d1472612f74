import { channel } from 'node:diagnostics_channel';

/** Message to the listeners: the kind of window, and its statement or step. */
export interface Failpoint {
  /** `lock`, `copy`, `statement`, `commit`, `restore` or `rotate`. */
  readonly at: string;
  /** The SQL, or the step of a copy. */
  readonly detail: string;
}

/** Name of the diagnostics channel for failpoints. */
export const FAILPOINT_CHANNEL = 'umzug-backfill:failpoint';

const points = channel(FAILPOINT_CHANNEL);

/**
 * Marks a window between two durable effects, so that a test can kill the process or fill the disk there. Does nothing without a
 * listener, which only tests have: no environment variable can make a run fail.
 *
 * @see https://nodejs.org/api/diagnostics_channel.html
 */
export function failpoint(at: string, detail: string): void {
  if (points.hasSubscribers) points.publish({ at, detail } satisfies Failpoint);
}
