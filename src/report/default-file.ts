/** Where a report goes unless it is told otherwise, in the current folder. */
export const DEFAULT_REPORT = 'umzug-backfill-report.html';
