import type { OutFile } from '../safety/out-file.js';

/** A report, for this user's eyes only: it describes what is in a store. */
export const REPORT_FILE: OutFile = {
  what: 'report',
  head: '<!doctype html>\n<!-- A report of umzug-backfill -->\n',
  mode: 0o600,
};

/** Where a report goes unless it is told otherwise, in the current folder. */
export const DEFAULT_REPORT = 'umzug-backfill-report.html';
