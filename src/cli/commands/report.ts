import { bytes } from '../../format.js';
import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import type { ReportResult } from '../../report/report.js';
import type { Register } from '../cli.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
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
  withCommonOptions(
    program
      .command('report')
      .description('verify the backfills and write an HTML report about them, only reading the store'),
  )
    .option(
      '--out <file>',
      `where to write it; only an earlier report is written over (default: ${DEFAULT_REPORT} in the current folder)`,
    )
    .addHelpText('after', '\nExample:\n  umzug-backfill report --out audit-log.html')
    .action(async (options: CommonOptions & { readonly out?: string }) =>
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
