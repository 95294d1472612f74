import { holderText } from '../../db/site.js';
import { EXIT } from '../../errors.js';
import { count, duration } from '../../format.js';
import type { Status, StepStatus } from '../../migrator/status.js';
import { visible } from '../../visible.js';
import type { Say } from '../../words/lang.js';
import type { Cli, Reader, Register } from '../cli.js';
import { type CommonOptions, withCommonOptions } from '../options.js';
import type { Lines } from '../print.js';
import { table, widthBeside } from '../text.js';
import { widthOf } from '../wide.js';

function detail({ backfill, durationMs, state, appliedAt, packageVersion }: StepStatus, say: Say): Lines {
  if (state === 'pending') return [];
  const when = say(
    appliedAt === null
      ? `not finished, by version ${packageVersion}`
      : `${appliedAt}, ${duration(durationMs)}, by version ${packageVersion}`,
  );
  if (!backfill) return [when];
  const skipped = Object.entries(backfill.skips).map(([reason, rows]) => `${count(rows)} ${reason}`);
  return [
    when,
    say(`${backfill.percent}%, at key ${backfill.cursor ?? 'none'} of ${backfill.watermark ?? 'none'}`),
    say(
      `${count(backfill.rowsScanned)} rows read, ${count(backfill.cellsFilled)} cells filled in ${count(backfill.batches)} batches`,
    ),
    ...(skipped.length > 0 ? [say(`skipped ${skipped.join(', ')}`)] : []),
    say(`verification: ${backfill.verdict}`),
    ...(backfill.isWaiting === 'unknown' ? [say('whether rows wait: unknown, beyond 50,000 rows')] : []),
    ...(backfill.isWaiting === true ? [say('rows wait for a catch-up')] : []),
  ];
}

/** Whether what is half done is being done, or was stopped. */
function runLines({ lock: { state, holder }, steps }: Status, say: Say): string[] {
  if (state === 'held')
    return [
      say(holder ? `A run is under way: ${holderText(holder)}` : 'A run is under way: it has just begun'),
    ];
  const isHalfDone = steps.some((step) => step.state === 'applying' || step.state === 'reverting');
  return state === 'free' && isHalfDone ? [say('No run is under way: the last one was stopped.')] : [];
}

function statusText(status: Status, { say, columns }: Pick<Reader, 'say' | 'columns'>): Lines {
  const { path, steps, drifts, isPending } = status;
  const rows = steps.map((step) => [step.name, say(step.state), detail(step, say)]);
  const nameWidth = Math.max(6, ...steps.map(({ name }) => widthOf(visible(name)) + 2));
  return [
    say(`Store: ${path}`),
    ...runLines(status, say),
    ...table([say('step'), say('state'), say('detail')], rows, [
      nameWidth,
      11,
      widthBeside(nameWidth + 15, columns),
    ]),
    ...drifts.map(({ text }) => say(`warning: ${text}.`)),
    say(
      isPending === 'unknown'
        ? 'Nothing to do, as far as 50,000 rows of each table tell; status --check reads on.'
        : isPending
          ? status.lock.state === 'held'
            ? 'What is left is for the run under way.'
            : 'There is work for: umzug-backfill up'
          : 'Nothing to do.',
    ),
  ];
}

/** `status`: where the store stands. */
export const registerStatus: Register = (program, cli) => {
  withCommonOptions(program.command('status').description('say where each step stands, reading only'))
    .option('--check', 'exit 3 when `up` would have something to do (default: exit 0)')
    .addHelpText('after', '\nExample:\n  umzug-backfill status --check && echo "up to date"')
    .action(async (options: CommonOptions & { readonly check?: boolean }) =>
      cli.run(options, async (migrator, reader) => {
        const { status } = await import('../../migrator/status.js');
        // An exit code has no third answer: every row is read that it takes.
        const found = await status(migrator, options.check ? { probeRows: Number.POSITIVE_INFINITY } : {});
        return {
          json: { command: 'status', ...found },
          text: statusText(found, reader),
          exitCode: options.check && found.isPending !== false ? EXIT.pending : EXIT.done,
        };
      }),
    );
};

function registerList(
  program: Parameters<Register>[0],
  cli: Cli,
  name: 'pending' | 'executed',
  description: string,
): void {
  withCommonOptions(program.command(name).description(description))
    .addHelpText('after', `\nExample:\n  umzug-backfill ${name} --json`)
    .action(async (options: CommonOptions) =>
      cli.run(options, async (migrator) => {
        const { status } = await import('../../migrator/status.js');
        const { steps } = await status(migrator);
        const names = steps
          .filter(({ state }) => (state === 'applied') === (name === 'executed'))
          .map((step) => step.name);
        return { json: { command: name, steps: names }, text: names };
      }),
    );
}

/** `pending`: steps that are not applied, one a line. */
export const registerPending: Register = (program, cli) =>
  registerList(program, cli, 'pending', 'list the steps that are not applied, reading only');

/** `executed`: steps that are applied, one a line. */
export const registerExecuted: Register = (program, cli) =>
  registerList(program, cli, 'executed', 'list the steps that are applied, reading only');
