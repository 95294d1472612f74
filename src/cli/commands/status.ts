import { holderText } from '../../db/connector.js';
import { EXIT } from '../../errors.js';
import { count, duration } from '../../format.js';
import type { Translate } from '../../messages/lang.js';
import { msg } from '../../messages/message.js';
import type { Status, StepStatus } from '../../migrate/status.js';
import { visible } from '../../visible.js';
import type { Cli, Presenter, Register } from '../cli.js';
import { displayWidth } from '../display-width.js';
import { addFlags, type CliOptions } from '../options.js';
import type { Lines } from '../print.js';
import { remainingWidth, table } from '../table.js';

function detail(
  { backfill, durationMs, state, appliedAt, packageVersion }: StepStatus,
  translate: Translate,
): Lines {
  if (state === 'pending') return [];
  const when = translate(
    appliedAt === null
      ? msg('not finished, by version {version}', { version: packageVersion })
      : msg('{time}, {duration}, by version {version}', {
          time: appliedAt,
          duration: duration(durationMs),
          version: packageVersion,
        }),
  );
  if (!backfill) return [when];
  const skipped = Object.entries(backfill.skips).map(([reason, rows]) => `${count(rows)} ${reason}`);
  return [
    when,
    translate(
      msg('{percent}%, at key {cursor} of {watermark}', {
        percent: backfill.percent,
        cursor: backfill.cursor ?? 'none',
        watermark: backfill.watermark ?? 'none',
      }),
    ),
    translate(
      msg('{rows} rows read, {cells} cells filled in {batches} batches', {
        rows: count(backfill.rowsScanned),
        cells: count(backfill.cellsFilled),
        batches: count(backfill.batches),
      }),
    ),
    ...(skipped.length > 0 ? [translate(msg('skipped {skips}', { skips: skipped.join(', ') }))] : []),
    translate(msg('verification: {verdict}', { verdict: backfill.verdict })),
    ...(backfill.needsCatchUp === 'unknown'
      ? [translate('whether rows wait: unknown, beyond 50,000 rows')]
      : []),
    ...(backfill.needsCatchUp === true ? [translate('rows wait for a catch-up')] : []),
  ];
}

/** Whether what is half done is being done, or was stopped. */
function runLines({ lock: { state, holder }, steps }: Status, translate: Translate): string[] {
  if (state === 'held')
    return [
      translate(
        holder
          ? msg('A run is under way: {who}', { who: holderText(holder) })
          : 'A run is under way: it has just begun',
      ),
    ];
  const isHalfDone = steps.some((step) => step.state === 'applying' || step.state === 'reverting');
  return state === 'free' && isHalfDone ? [translate('No run is under way: the last one was stopped.')] : [];
}

function statusText(status: Status, { translate, columns }: Pick<Presenter, 'translate' | 'columns'>): Lines {
  const { path, steps, drifts, isPending } = status;
  const rows = steps.map((step) => [step.name, translate(step.state), detail(step, translate)]);
  const nameWidth = Math.max(6, ...steps.map(({ name }) => displayWidth(visible(name)) + 2));
  return [
    translate(msg('Store: {path}', { path })),
    ...runLines(status, translate),
    ...table([translate('step'), translate('state'), translate('detail')], rows, [
      nameWidth,
      11,
      remainingWidth(nameWidth + 15, columns),
    ]),
    ...drifts.map(({ text }) => translate(msg('warning: {text}.', { text }))),
    translate(
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
  addFlags(program.command('status').description('say where each step stands, reading only'))
    .addHelpText('after', '\nExample:\n  umzug-backfill status --check && echo "up to date"')
    .action(async (options: CliOptions) =>
      cli.run(options, async (migrator, presenter) => {
        const { status } = await import('../../migrate/status.js');
        // An exit code has no third answer: every row is read that it takes.
        const found = await status(migrator, options.check ? { probeRows: Number.POSITIVE_INFINITY } : {});
        return {
          json: { command: 'status', ...found },
          text: statusText(found, presenter),
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
  addFlags(program.command(name).description(description))
    .addHelpText('after', `\nExample:\n  umzug-backfill ${name} --json`)
    .action(async (options: CliOptions) =>
      cli.run(options, async (migrator) => {
        const { status } = await import('../../migrate/status.js');
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
