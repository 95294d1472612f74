import { bytes } from '../../format.js';
import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import type { ReportResult } from '../../report/report.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { errorJson } from '../text.js';

/** A report for a person: where it is, and what it says in one word of each backfill. */
export function reportLines(
  { path, bytes: size, backfills, error }: ReportResult,
  translate: Translate,
): string[] {
  if (path === undefined) {
    return [
      translate(
        `No report was written${error ? ` (${error.code}: ${error.message})` : ', as the run was stopped'}.`,
      ),
    ];
  }
  return [
    translate(msg('Report: {path} ({size}).', { path, size: bytes(size ?? 0) })),
    ...(backfills ?? []).map(
      ({ name, verdict }) =>
        `  ${name}${translate(': ')}${translate(verdict === 'none' ? 'not applied, or not to be verified' : verdict)}`,
    ),
  ];
}

/** A report for a program. */
export function reportResult({ error, ...rest }: ReportResult): Record<string, unknown> {
  return { ...rest, ...(error ? { error: errorJson(error) } : {}) };
}

/** `report`: an HTML page about the store's backfills. */
export const registerReport: Register = (program, cli) => {
  addFlags(
    program
      .command('report')
      .description('verify the backfills and write an HTML report about them, only reading the store'),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill report --out audit-log.html')
    .action(async (options: CliOptions) =>
      cli.run(options, async (migrator, { lang, translate, toRunnable }) => {
        const { checkTarget, report } = await import('../../report/report.js');
        const file = options.out ?? DEFAULT_REPORT;
        if (options.dryRun) {
          const path = checkTarget(migrator, file);
          return {
            json: { command: 'report', dryRun: true, path },
            text: [
              translate(msg('Dry run of `report`: nothing was written. It would write {path}.', { path })),
            ],
          };
        }
        const outcome = await report(migrator, file, { lang, toRunnable });
        return {
          json: { command: 'report', ...reportResult(outcome) },
          text: reportLines(outcome, translate),
          error: outcome.error,
        };
      }),
    );
};
