import { Option } from 'commander';
import type { UpOutcome, UpTarget } from '../../migrator/up.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import type { Say } from '../../words/lang.js';
import type { Register } from '../cli.js';
import { type CommonOptions, positiveInteger, withUpdateOptions } from '../options.js';
import { outcomeJson, outcomeText, planText, valuesLeftText } from '../text.js';
import { reportLines, reportResult } from './report.js';

/** What is said where there is no work. */
export const NOTHING_TO_DO = 'Nothing to do: every step is applied and verified.';

/** What an `up` has done, a line each. */
export function upLines(
  { applied, caughtUp, remade, left, joined, valuesLeft, size }: UpOutcome,
  say: Say,
): string[] {
  if (!size && left.length + joined.length === 0) return [say(NOTHING_TO_DO)];
  return [
    ...joined.map((name) => say(`took part in filling ${name}`)),
    ...remade.map((name) => say(`made again what was missing of ${name}`)),
    ...caughtUp.map((name) => say(`caught up ${name}`)),
    ...valuesLeft.map(({ backfill, ...found }) => `${backfill}${say(': ')}${say(valuesLeftText(found))}`),
    ...applied.map((name) => say(`applied ${name}`)),
  ];
}

/** `up`: apply pending steps, verify, catch up. */
export const registerUp: Register = (program, cli) => {
  withUpdateOptions(
    program.command('up').description('apply pending steps, verify the backfills, catch up rows that wait'),
  )
    .option('--to <name>', 'apply up to and including this step (default: all)')
    .option('--step <count>', 'apply this many steps (default: all)', positiveInteger)
    .addOption(
      new Option(
        '--report [file]',
        `write an HTML report afterwards, also of a verification that failed (default: none; without a file: ${DEFAULT_REPORT})`,
      ).conflicts('dryRun'),
    )
    .addHelpText('after', '\nExample:\n  umzug-backfill up --db-path data/store.db --dry-run')
    .action(async (options: CommonOptions & UpTarget & { readonly report?: string | true }) =>
      cli.run(options, async (migrator, reader) => {
        const { lang, say, tell } = reader;
        if (options.dryRun) {
          const { planUp } = await import('../../migrator/plan.js');
          const plan = await planUp(migrator, options);
          return { json: { command: 'up', dryRun: true, ...plan }, text: planText('up', plan, say) };
        }
        const { up } = await import('../../migrator/up.js');
        if (options.report === undefined) {
          const outcome = await up(migrator, options);
          return {
            json: outcomeJson('up', outcome),
            text: outcomeText(upLines(outcome, say), outcome, reader),
            error: outcome.error,
          };
        }
        const { checkTarget, reportAfter } = await import('../../report/report.js');
        const file = options.report === true ? DEFAULT_REPORT : options.report;
        checkTarget(migrator, file); // before anything is changed
        const outcome = await up(migrator, options);
        const report = await reportAfter(migrator, file, outcome, { lang, tell });
        const error = outcome.error ?? report.error;
        const all = { ...outcome, ...(error ? { error } : {}) };
        return {
          json: { ...outcomeJson('up', all), report: reportResult(report) },
          text: [...outcomeText(upLines(outcome, say), outcome, reader), ...reportLines(report, say)],
          error,
        };
      }),
    );
};
