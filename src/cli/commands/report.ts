import { bytes } from '../../format.js';
import { msg } from '../../messages/message.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import type { ReportResult } from '../../report/report.js';
import type { StoreCommand } from '../cli.js';
import { errorJson, type Line } from '../text.js';

/** Returns the lines about a report: its path, and the verdict of each backfill. */
export function reportLines({ path, bytes: size, backfills, error }: ReportResult): readonly Line[] {
  if (path === undefined) {
    return [
      error
        ? msg('No report was written ({code}: {message}).', {
            code: error.code,
            message: error.texts.message,
          })
        : msg('No report was written, because the run was stopped.'),
    ];
  }
  return [
    msg('Report: {path} ({size}).', { path, size: bytes(size ?? 0) }),
    ...(backfills ?? []).map(
      ({ name, verdict }): Line => [
        `  ${name}`,
        msg(': '),
        msg(verdict === 'none' ? 'not applied, or not verifiable' : verdict),
      ],
    ),
  ];
}

/** Returns the JSON about a report. */
export function reportResult({ error, ...rest }: ReportResult): Record<string, unknown> {
  return { ...rest, ...(error ? { error: errorJson(error) } : {}) };
}

/** Writes an HTML page about the store's backfills. */
export const reportCommand: StoreCommand = {
  name: 'report',
  description: 'verify the backfills and write an HTML report about them, only reading the store',
  example: 'report --out audit-log.html',
  async run(migrator, { options, presenter: { lang, toRunnable } }) {
    const { checkTarget, report } = await import('../../report/report.js');
    const file = options.out ?? DEFAULT_REPORT;
    if (options.dryRun) {
      const path = checkTarget(migrator, file);
      return {
        json: { command: 'report', dryRun: true, path },
        text: [msg('Dry run of `report`: nothing was written. It would write {path}.', { path })],
      };
    }
    const outcome = await report(migrator, file, { lang, toRunnable });
    return {
      json: { command: 'report', ...reportResult(outcome) },
      text: reportLines(outcome),
      error: outcome.error,
    };
  },
};
