/** Whether the long form runs, as `npm run test:crash` does: with every case of what the short form draws or picks some of. */
export const isLong = process.env.UMZUG_BACKFILL_CRASH === 'long';
