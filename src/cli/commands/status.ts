import { holderText } from '../../db/connection.js';
import { EXIT } from '../../errors.js';
import { count, duration } from '../../format.js';
import { type Message, msg } from '../../messages/message.js';
import type { Status, StepStatus } from '../../migrate/status.js';
import { visible } from '../../visible.js';
import type { Presenter, StoreCommand } from '../cli.js';
import { displayWidth } from '../display-width.js';
import { remainingWidth, table } from '../table.js';
import { type Line, skipTexts } from '../text.js';

function detailLines(step: StepStatus): readonly Message[] {
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
    ...(skips.length > 0 ? [msg('skipped {skips}', { skips })] : []),
    msg('verification: {verdict}', { verdict: msg(backfill.verdict) }),
    ...(backfill.needsCatchUp === 'unknown' ? [msg('no rows pending catch-up in the 50,000 rows read')] : []),
    ...(backfill.needsCatchUp === true ? [msg('rows pending catch-up')] : []),
  ];
}

/** Returns whether an unfinished step is in progress or was stopped. */
function runLines({ lock: { state, holder }, steps }: Status): readonly Message[] {
  if (state === 'held') {
    return [
      holder
        ? msg('Run in progress: {who}', { who: holderText(holder) })
        : msg('Run in progress: it has just started'),
    ];
  }
  const isUnfinished = steps.some((step) => step.state === 'applying' || step.state === 'reverting');
  return state === 'free' && isUnfinished ? [msg('No run in progress; the last one was stopped.')] : [];
}

function pendingLine({ isPending, lock }: Status): Message {
  if (isPending === false) return msg('Nothing to do.');
  if (isPending === 'unknown')
    return msg('Nothing to do in the 50,000 rows read of each table; status --check reads all.');
  return lock.state === 'held'
    ? msg('The run in progress will finish the rest.')
    : msg('Pending changes. Run: umzug-backfill up');
}

function statusLines(
  status: Status,
  { translate, columns }: Pick<Presenter, 'translate' | 'columns'>,
): readonly Line[] {
  const { path, steps, drifts } = status;
  const rows = steps.map((step) => [step.name, translate(msg(step.state)), detailLines(step).map(translate)]);
  const nameWidth = Math.max(6, ...steps.map(({ name }) => displayWidth(visible(name)) + 2));
  const heads = [msg('step'), msg('state'), msg('detail')].map(translate);
  return [
    msg('Store: {path}', { path }),
    ...runLines(status),
    ...table(heads, rows, [nameWidth, 11, remainingWidth(nameWidth + 15, columns)]),
    ...drifts.map(({ texts }) => msg('warning: {text}.', texts)),
    pendingLine(status),
  ];
}

/** Shows the state of each step. */
export const statusCommand: StoreCommand = {
  name: 'status',
  description: 'show the state of each step, reading only',
  example: 'status --check && echo "up to date"',
  async run(migrator, { options, presenter }) {
    const { status } = await import('../../migrate/status.js');
    // An exit code cannot say "unknown", so that --check reads as many rows as it takes.
    const found = await status(migrator, options.check ? { probeRows: Number.POSITIVE_INFINITY } : {});
    return {
      json: { command: 'status', ...found },
      text: statusLines(found, presenter),
      exitCode: options.check && found.isPending !== false ? EXIT.pending : EXIT.done,
    };
  },
};

const listCommand = (name: 'pending' | 'executed', description: string): StoreCommand => ({
  name,
  description,
  example: `${name} --json`,
  async run(migrator) {
    const { status } = await import('../../migrate/status.js');
    const { steps } = await status(migrator);
    const names = steps
      .filter(({ state }) => (state === 'applied') === (name === 'executed'))
      .map((step) => step.name);
    return { json: { command: name, steps: names }, text: names };
  },
});

/** Lists the steps that are not applied, one per line. */
export const pendingCommand = listCommand('pending', 'list the steps that are not applied, reading only');

/** Lists the steps that are applied, one per line. */
export const executedCommand = listCommand('executed', 'list the steps that are applied, reading only');
