import { holderText } from '../../db/connector.js';
import { BackfillError, EXIT } from '../../errors.js';
import { count, duration } from '../../format.js';
import { type Message, msg } from '../../messages/message.js';
import type { Status, StepStatus } from '../../migrate/status.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import { visible } from '../../visible.js';
import type { StoreCommand } from '../cli.js';
import type { ResultLines, ResultText } from '../print.js';
import { displayWidth } from '../table.js';
import { reportLines, skipTexts, verificationText } from '../text.js';

const listCommand = (name: 'pending' | 'executed', description: string): StoreCommand => ({
  description,
  example: `${name} --json`,
  async run(migrator) {
    const { status } = await import('../../migrate/status.js');
    const { steps } = await status(migrator);
    const names = steps
      .filter(({ state }) => (state === 'applied') === (name === 'executed'))
      .map((step) => step.name);
    return { json: { steps: names }, text: names };
  },
});

/** Commands that only read a store, by name. What does the work is loaded when a command runs. */
export const READ_COMMANDS: Readonly<
  Record<'status' | 'pending' | 'executed' | 'verify' | 'report' | 'skips', StoreCommand>
> = {
  status: {
    description: 'show the state of each step, reading only',
    example: 'status --check && echo "up to date"',
    async run(migrator, { options }) {
      const { status } = await import('../../migrate/status.js');
      // An exit code cannot say "unknown", so that --check reads as many rows as it takes.
      const found = await status(migrator, options.check ? { probeRows: Number.POSITIVE_INFINITY } : {});
      return {
        json: found,
        text: statusText(found),
        exitCode: options.check && found.isPending !== false ? EXIT.pending : EXIT.done,
      };
    },
  },
  pending: listCommand('pending', 'list the steps that are not applied, reading only'),
  executed: listCommand('executed', 'list the steps that are applied, reading only'),
  verify: {
    description: 'verify the backfills against the store, reading only',
    example: 'verify --min-coverage 99.5 --json',
    async run(migrator, { options: { printSql, minCoverage } }) {
      if (printSql) {
        if (migrator.postgres) {
          throw new BackfillError(
            'USAGE',
            msg('--print-sql is for the sqlite3 shell, and this store is a PostgreSQL database'),
            msg('Run it without --print-sql: umzug-backfill verify'),
          );
        }
        const { backfillsOf } = await import('../../migrate/session.js');
        const { verificationSql } = await import('../../engine/sqlite/print-sql.js');
        const sql = backfillsOf(migrator.project).map(verificationSql);
        return { json: { sql }, text: sql.join('\n\n').split('\n') };
      }
      const { verificationFailed, verify } = await import('../../migrate/verify.js');
      const verifications = await verify(migrator, { minCoverage });
      const failed = verifications.find(({ verdict }) => verdict === 'fail');
      return {
        json: { verifications },
        text: verifications.flatMap(verificationText),
        error: failed && verificationFailed(failed),
      };
    },
  },
  report: {
    description: 'verify the backfills and write an HTML report about them, only reading the store',
    example: 'report --out audit-log.html',
    async run(migrator, { options, presenter }) {
      const { checkTarget, report } = await import('../../report/report.js');
      const file = options.out ?? DEFAULT_REPORT;
      if (options.dryRun) {
        const path = checkTarget(migrator, file);
        return {
          json: { dryRun: true, path },
          text: [msg('Dry run of `report`: nothing was written. It would write {path}.', { path })],
        };
      }
      const outcome = await report(migrator, file, presenter);
      const { error, ...json } = outcome;
      return { json, text: reportLines(outcome), error };
    },
  },
  skips: {
    description: 'list the rows and cells that were skipped, with the reason',
    argument: ['[name]', 'one backfill (default: all)'],
    example: 'skips 002-order-times',
    async run(migrator, { args: [name] }) {
      const { skips } = await import('../../migrate/status.js');
      const backfills = await skips(migrator, name);
      const rows = backfills.flatMap((entry) =>
        entry.skips.map(({ key, target, reason }) => [
          entry.backfill,
          String(key),
          target === '*' ? msg('the row') : target,
          reason,
        ]),
      );
      const heads = [msg('backfill'), msg('key'), msg('what'), msg('reason')];
      return { json: { backfills }, text: [rows.length > 0 ? { heads, rows } : msg('Nothing was skipped.')] };
    },
  },
};

function statusText(status: Status): ResultText {
  const { path, steps, drifts } = status;
  return [
    msg('Store: {path}', { path }),
    runLine(status),
    {
      heads: [msg('step'), msg('state'), msg('detail')],
      rows: steps.map((step) => [step.name, msg(step.state), detailLines(step)]),
      widths: [Math.max(6, ...steps.map(({ name }) => displayWidth(visible(name)) + 2)), 11],
    },
    ...drifts.map(({ texts }) => msg('warning: {text}.', texts)),
    pendingLine(status),
  ];
}

function detailLines(step: StepStatus): ResultLines {
  const { backfill, durationMs, state, appliedAt, packageVersion: version } = step;
  if (state === 'pending') return [];
  const when =
    appliedAt === null
      ? msg('not finished, by version {version}', { version })
      : msg('{time}, {duration}, by version {version}', {
          time: appliedAt,
          duration: duration(durationMs),
          version,
        });
  if (!backfill) return [when];
  const skips = skipTexts(backfill.skips);
  return [
    when,
    msg('{percent}%, at key {cursor} of {watermark}', {
      percent: backfill.percent,
      cursor: backfill.cursor ?? msg('none'),
      watermark: backfill.watermark ?? msg('none'),
    }),
    msg('{rows} rows read in {batches} batches', {
      rows: count(backfill.rowsScanned),
      batches: count(backfill.batches),
    }),
    msg('{cells} cells filled', { cells: count(backfill.cellsFilled) }),
    skips.length > 0 && msg('skipped {skips}', { skips }),
    msg('verification: {verdict}', { verdict: msg(backfill.verdict) }),
    backfill.needsCatchUp === 'unknown' && msg('no rows pending catch-up in the 50,000 rows read'),
    backfill.needsCatchUp === true && msg('rows pending catch-up'),
  ];
}

/** Returns whether an unfinished step is in progress or was stopped. */
function runLine({ lock: { state, holder }, steps }: Status): Message | false {
  if (state === 'held')
    return holder
      ? msg('Run in progress: {who}', { who: holderText(holder) })
      : msg('Run in progress: it has just started');
  const isUnfinished = steps.some((step) => step.state === 'applying' || step.state === 'reverting');
  return state === 'free' && isUnfinished && msg('No run in progress; the last one was stopped.');
}

function pendingLine({ isPending, lock }: Status): Message {
  if (isPending === false) return msg('Nothing to do.');
  if (isPending === 'unknown')
    return msg('Nothing to do in the 50,000 rows read of each table; status --check reads all.');
  return lock.state === 'held'
    ? msg('The run in progress will finish the rest.')
    : msg('Pending changes. Run: umzug-backfill up');
}
