/** Whether the long form runs, for minutes: `UMZUG_BACKFILL_CRASH=long npm test` has every case of what the short form draws or picks some of. */
export const isLong = process.env.UMZUG_BACKFILL_CRASH === 'long';
