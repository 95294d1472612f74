/** Whether the long form runs: UMZUG_BACKFILL_CRASH=long, at every failpoint, with every combination and for minutes. */
export const isLong = process.env.UMZUG_BACKFILL_CRASH === 'long';
