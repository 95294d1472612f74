import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import type { UpResult } from '../../migrate/up.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import type { Register } from '../cli.js';
import { addFlags, type CliOptions } from '../options.js';
import { outcomeJson, outcomeText, planText, valuesLeftText } from '../text.js';
import { reportLines, reportResult } from './report.js';

/** What is said where there is no work. */
export const NOTHING_TO_DO = 'Nothing to do: every step is applied and verified.';

/** What an `up` has done, a line each. */
export function upLines(
  { applied, caughtUp, recreated, deferred, joined, valuesLeft, size }: UpResult,
  translate: Translate,
): string[] {
  if (!size && deferred.length + joined.length === 0) return [translate(NOTHING_TO_DO)];
  return [
    ...joined.map((name) => translate(msg('took part in filling {name}', { name }))),
    ...recreated.map((name) => translate(msg('made again what was missing of {name}', { name }))),
    ...caughtUp.map((name) => translate(msg('caught up {name}', { name }))),
    ...valuesLeft.map(
      ({ backfill, ...found }) => `${backfill}${translate(': ')}${translate(valuesLeftText(found))}`,
    ),
    ...applied.map((name) => translate(msg('applied {name}', { name }))),
  ];
}

/** `up`: apply pending steps, verify, catch up. */
export const registerUp: Register = (program, cli) => {
  addFlags(
    program.command('up').description('apply pending steps, verify the backfills, catch up rows that wait'),
  )
    .addHelpText('after', '\nExample:\n  umzug-backfill up --db-path data/store.db --dry-run')
    .action(async (options: CliOptions) =>
      cli.run(options, async (migrator, presenter) => {
        const { lang, translate, toRunnable } = presenter;
        if (options.dryRun) {
          const { planUp } = await import('../../migrate/plan.js');
          const plan = await planUp(migrator, options);
          return { json: { command: 'up', dryRun: true, ...plan }, text: planText('up', plan, translate) };
        }
        const { up } = await import('../../migrate/up.js');
        if (options.report === undefined) {
          const outcome = await up(migrator, options);
          return {
            json: outcomeJson('up', outcome),
            text: outcomeText(upLines(outcome, translate), outcome, presenter),
            error: outcome.error,
          };
        }
        const { checkTarget, reportAfter } = await import('../../report/report.js');
        const file = options.report === true ? DEFAULT_REPORT : options.report;
        checkTarget(migrator, file); // before anything is changed
        const outcome = await up(migrator, options);
        const report = await reportAfter(migrator, file, outcome, { lang, toRunnable });
        const error = outcome.error ?? report.error;
        const all = { ...outcome, ...(error ? { error } : {}) };
        return {
          json: { ...outcomeJson('up', all), report: reportResult(report) },
          text: [
            ...outcomeText(upLines(outcome, translate), outcome, presenter),
            ...reportLines(report, translate),
          ],
          error,
        };
      }),
    );
};
