import type { OutputFileKind } from '../safety/output-file.js';

/** Reports. Only their owner may read them, because they describe the contents of a store. */
export const REPORT_FILE: OutputFileKind = {
  what: 'report',
  signature: '<!doctype html>\n<!-- A report of umzug-backfill -->\n',
  mode: 0o600,
};

/** Default name of a report, in the current folder. */
export const DEFAULT_REPORT = 'umzug-backfill-report.html';
