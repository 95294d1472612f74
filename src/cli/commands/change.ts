import { BackfillError, EXIT } from '../../errors.js';
import { bytes } from '../../format.js';
import { msg } from '../../messages/message.js';
import type { DownResult } from '../../migrate/down.js';
import type { Plan } from '../../migrate/plan.js';
import type { RestoreResult } from '../../migrate/restore.js';
import type { Status } from '../../migrate/status.js';
import type { UpResult } from '../../migrate/up.js';
import { DEPLOY_LOCK_TIMEOUT_MS } from '../../option-table.js';
import { DEFAULT_REPORT } from '../../report/default-file.js';
import { shellWord } from '../../shell.js';
import type { CommandResult, StoreCommand } from '../cli.js';
import { type Line, prefixed, type ResultLines } from '../print.js';
import { planResult, reportLines, revertLines, runResult, valuesLeftText } from '../text.js';

/** Commands that change a store, by name. What does the work is loaded when a command runs. */
export const CHANGE_COMMANDS: Readonly<
  Record<'up' | 'deploy' | 'down' | 'backfill' | 'restore', StoreCommand>
> = {
  up: {
    description: 'apply pending steps, verify the backfills, catch up rows written since',
    example: 'up --db-path data/store.db --dry-run',
    async run(migrator, { options, presenter }) {
      const target = { to: options.to, step: options.step };
      if (options.dryRun) return await planned('up', ({ planUp }) => planUp(migrator, target));
      const { up } = await import('../../migrate/up.js');
      if (options.report === undefined) return upResult(await up(migrator, target));
      const { checkTarget, reportAfter } = await import('../../report/report.js');
      const file = options.report === true ? DEFAULT_REPORT : options.report;
      checkTarget(migrator, file); // before anything is changed
      const outcome = await up(migrator, target);
      const report = await reportAfter(migrator, file, outcome, presenter);
      const error = outcome.error ?? report.error;
      const { json, text } = upResult(outcome);
      return { json: { ...json, error, report }, text: [...text, ...reportLines(report)], error };
    },
  },
  deploy: {
    description: 'bring the store up to date before the application starts; fast if nothing is pending',
    example: 'deploy --backfills background && exec node server.js',
    async run(migrator, { options }) {
      if (options.check) {
        const { status } = await import('../../migrate/status.js');
        return checkResult(await status(migrator, { probeRows: Number.POSITIVE_INFINITY }));
      }
      if (options.dryRun) return await planned('deploy', ({ planUp }) => planUp(migrator));
      const { up } = await import('../../migrate/up.js');
      return upResult(
        await up(
          { ...migrator, lockTimeoutMs: migrator.lockTimeoutMs ?? DEPLOY_LOCK_TIMEOUT_MS },
          { deferBackfills: options.backfills === 'background' },
        ),
      );
    },
  },
  down: {
    description: 'revert the last step, or more',
    example: 'down --to 0 --yes',
    async run(migrator, { options }) {
      const target = { to: options.to === '0' ? (0 as const) : options.to, step: options.step };
      if (options.dryRun) return await planned('down', ({ planDown }) => planDown(migrator, target));
      const { down } = await import('../../migrate/down.js');
      const outcome = await down(migrator, target);
      return runResult(downLines(outcome), outcome);
    },
  },
  backfill: {
    description: 'run an applied backfill again for rows written since, or for all rows',
    argument: ['[name]', 'one backfill (default: all)'],
    example: 'backfill 002-order-times --rescan',
    async run(migrator, { options, args: [name] }) {
      const target = { name, rescan: options.rescan ?? false };
      if (options.dryRun)
        return await planned('backfill', ({ planBackfill }) => planBackfill(migrator, target));
      const { backfill } = await import('../../migrate/up.js');
      const outcome = await backfill(migrator, target);
      const isIdle = outcome.ran.length + outcome.verifications.length === 0 && !outcome.error;
      const lines = isIdle
        ? [msg('Nothing to do: no rows pending catch-up.')]
        : outcome.ran.map((ran) => msg('re-ran {name}', { name: ran }));
      return runResult(lines, outcome);
    },
  },
  restore: {
    description: 'restore the store from a backup, saving the present one first',
    argument: ['[file]', 'the backup (default: the newest, if the ledger has a record of it)'],
    example: 'restore store.db.backup-20261125T013152Z',
    async run(migrator, { options: { dryRun = false }, args: [file] }) {
      if (migrator.postgres) {
        throw new BackfillError(
          'USAGE',
          msg('The command restore is for a file'),
          msg('Restore a PostgreSQL database with its own tools, such as pg_restore'),
        );
      }
      const { restore } = await import('../../migrate/restore.js');
      const outcome = await restore(migrator, file, dryRun);
      return { json: { dryRun, ...outcome }, text: restoreText(outcome) };
    },
  },
};

const NOTHING_TO_DO = msg('Nothing to do: every step is applied and verified.');

/** Returns the result of a dry run. */
const planned = async (
  command: string,
  plan: (plans: typeof import('../../migrate/plan.js')) => Promise<Plan>,
): Promise<CommandResult> => planResult(command, await plan(await import('../../migrate/plan.js')));

const upResult = (outcome: UpResult) => runResult(upLines(outcome), outcome);

function upLines(outcome: UpResult): readonly Line[] {
  const { applied, caughtUp, recreated, deferred, joined, valuesLeft, size } = outcome;
  if (!size && deferred.length + joined.length === 0) return [NOTHING_TO_DO];
  return [
    ...joined.map((name) => msg('joined the run of {name}', { name })),
    ...recreated.map((name) => msg('recreated missing objects of {name}', { name })),
    ...caughtUp.map((name) => msg('caught up {name}', { name })),
    ...valuesLeft.map(({ backfill, ...found }): Line => [backfill, msg(': '), valuesLeftText(found)]),
    ...applied.map((name) => msg('applied {name}', { name })),
    ...deferred.map((name) => msg('deferred to the background: {name}. Run: umzug-backfill up', { name })),
  ];
}

/** Returns the result of `--check`: the steps that are not applied, and whether anything else is pending. */
function checkResult({ steps, isPending }: Status): CommandResult {
  const pending = steps.filter(({ state }) => state !== 'applied').map(({ name }) => name);
  return {
    json: { check: true, isPending, pending },
    text: [
      isPending === false
        ? NOTHING_TO_DO
        : pending.length > 0
          ? msg('Pending changes: {names}. Run: umzug-backfill deploy', { names: pending })
          : msg('Pending changes. Run: umzug-backfill deploy'),
    ],
    exitCode: isPending === false ? EXIT.done : EXIT.pending,
  };
}

function downLines({ reverted, cells, size }: DownResult): readonly Line[] {
  if (!size) return [msg('Nothing to do: no step is applied.')];
  return [
    ...cells.flatMap(({ backfill, ...found }) => prefixed([backfill, msg(': ')], revertLines(found))),
    ...reverted.map((name) => msg('reverted {name}', { name })),
  ];
}

function restoreText(outcome: RestoreResult): ResultLines {
  const { from, path, isVerified, saved, wasDamaged, isReplaced, isCopyStale } = outcome;
  const size = bytes(outcome.bytes);
  const unknown =
    !isVerified && msg('The ledger has no record of this file, so its contents were not compared.');
  if (saved === undefined) {
    return [
      msg('Dry run of `restore`: nothing was written. It would write {from} ({size}) into {path}.', {
        from,
        size,
        path,
      }),
      unknown,
    ];
  }
  return [
    msg('Restored {path} from {from} ({size}).', { path, from, size }),
    unknown,
    wasDamaged
      ? msg('The store was damaged; its files are kept as {saved}.', { saved })
      : msg('The store as it was: {saved}. To restore that: umzug-backfill restore {file}', {
          saved,
          file: shellWord(saved),
        }),
    isCopyStale &&
      msg(
        'Other programs wrote during the restore; that copy does not contain what they wrote after it was started.',
      ),
    isReplaced && msg('The file was replaced: restart every program that may have had the store open.'),
  ];
}
