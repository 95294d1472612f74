import { pauseFor, type StopSignal } from '../stop.js';

/** How long a command that writes goes on asking for a lock that another process keeps, in milliseconds. */
export const GIVE_UP_MS = 15_000;

/** First and longest pause between two tries, in milliseconds. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [10, 500];

/**
 * Pauses between the tries of something that is busy, in milliseconds: doubling from 10 to 500, and ending when 15
 * seconds have passed since the first was asked for.
 *
 * @param longestMs no pause is longer than this. Default 500
 */
export function* busyPauses(longestMs = LONGEST_PAUSE_MS): Generator<number, void> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (let pauseMs = FIRST_PAUSE_MS; performance.now() < giveUpAt; pauseMs *= 2) {
    yield Math.min(pauseMs, longestMs);
  }
}

/** Acts, and again after each of these pauses while `isBusy` says of what it throws that another process is in the way; a stop ends a pause. */
export async function untilFree<Result>(
  act: () => Promise<Result>,
  isBusy: (error: unknown) => boolean,
  signal?: StopSignal,
): Promise<Result> {
  for (const pauseMs of busyPauses()) {
    try {
      return await act();
    } catch (error) {
      if (!isBusy(error)) throw error;
      await pauseFor(pauseMs, signal);
    }
  }
  return await act();
}
