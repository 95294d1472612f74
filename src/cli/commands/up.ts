import { msg } from '../../messages/message.js';
import type { UpResult } from '../../migrate/up.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import type { StoreCommand } from '../cli.js';
import { type Line, outcomeJson, planResult, runResult, valuesLeftText } from '../text.js';
import { reportLines, reportResult } from './report.js';

/** The result of an `up` without work. */
export const NOTHING_TO_DO = msg('Nothing to do: every step is applied and verified.');

/** Returns what an `up` did. */
export function upLines(outcome: UpResult): readonly Line[] {
  const { applied, caughtUp, recreated, deferred, joined, valuesLeft, size } = outcome;
  if (!size && deferred.length + joined.length === 0) return [NOTHING_TO_DO];
  return [
    ...joined.map((name) => msg('joined the run of {name}', { name })),
    ...recreated.map((name) => msg('recreated missing objects of {name}', { name })),
    ...caughtUp.map((name) => msg('caught up {name}', { name })),
    ...valuesLeft.map(({ backfill, ...found }): Line => [backfill, msg(': '), valuesLeftText(found)]),
    ...applied.map((name) => msg('applied {name}', { name })),
  ];
}

/** Applies pending steps, verifies, catches up. */
export const upCommand: StoreCommand = {
  name: 'up',
  description: 'apply pending steps, verify the backfills, catch up rows written since',
  example: 'up --db-path data/store.db --dry-run',
  async run(migrator, { options, presenter }) {
    const { to, step } = options;
    if (options.dryRun) {
      const { planUp } = await import('../../migrate/plan.js');
      return planResult('up', await planUp(migrator, { to, step }), presenter);
    }
    const { up } = await import('../../migrate/up.js');
    if (options.report === undefined) {
      const outcome = await up(migrator, { to, step });
      return runResult('up', upLines(outcome), outcome, presenter);
    }
    const { checkTarget, reportAfter } = await import('../../report/report.js');
    const file = options.report === true ? DEFAULT_REPORT : options.report;
    checkTarget(migrator, file); // before anything is changed
    const outcome = await up(migrator, { to, step });
    const report = await reportAfter(migrator, file, outcome, presenter);
    const error = outcome.error ?? report.error;
    const { text } = runResult('up', upLines(outcome), outcome, presenter);
    return {
      json: {
        ...outcomeJson('up', { ...outcome, ...(error ? { error } : {}) }),
        report: reportResult(report),
      },
      text: [...text, ...reportLines(report)],
      error,
    };
  },
};
