import type { OutputFileKind } from '../safety/output-file.js';

/** A report, for this user's eyes only: it describes what is in a store. */
export const REPORT_FILE: OutputFileKind = {
  what: 'report',
  signature: '<!doctype html>\n<!-- A report of umzug-backfill -->\n',
  mode: 0o600,
};

/** Where a report goes unless it is told otherwise, in the current folder. */
export const DEFAULT_REPORT = 'umzug-backfill-report.html';
