import { count, duration } from '../format.js';
import type { MigratorEvent } from '../migrate/options.js';
import { type Progress, ProgressTracker } from '../migrate/progress.js';
import type { OutputStream } from './cli.js';

/** Interval between two progress events in the log if there is no terminal, in milliseconds. */
const LOG_EVERY_MS = 5000;

/** Minimum time between two drawings of the bar, in milliseconds. */
const DRAW_EVERY_MS = 100;

/** Returns to the beginning of the line and clears it. */
const CLEARED = '\r\u001b[2K';

/** Widest bar, in characters, the least that is still drawn, and the width of a terminal from which on it has its place. */
const [BAR_MOST, BAR_LEAST, BAR_FROM] = [30, 10, 60];

/**
 * Shows how far a loop of batches is: on a terminal as a bar, elsewhere, and where `CI` or `TERM=dumb` is set, as a line of
 * the log every five seconds. The bar is cleared before each line of the log, and at the end.
 *
 * @param log takes a line of the log, where there is no terminal
 * @returns `clearLine` clears the bar before a line of the log; `onEvent` must be called for every event, after it is logged
 */
export function progressView(
  stream: OutputStream,
  env: NodeJS.ProcessEnv,
  log: (progress: Progress) => void,
) {
  const tracker = new ProgressTracker();
  const isBar = stream.isTTY && !env.CI && env.TERM !== 'dumb';
  let shownMs = isBar ? undefined : performance.now();
  const clearLine = (): void => {
    if (!isBar) return;
    if (shownMs !== undefined) stream.write(CLEARED);
    shownMs = undefined;
  };
  const onEvent = (event: MigratorEvent): void => {
    const progress = tracker.onEvent(event);
    if (event.event === 'batches_started' && !isBar) shownMs = performance.now();
    if (event.event === 'batches_finished') clearLine();
    if (!progress) return;
    const everyMs = isBar ? DRAW_EVERY_MS : LOG_EVERY_MS;
    if (shownMs !== undefined && performance.now() - shownMs < everyMs) return;
    shownMs = performance.now();
    if (isBar) stream.write(CLEARED + barText(progress, stream.columns || 80));
    else log(progress);
  };
  return { clearLine, onEvent };
}

/**
 * Returns the bar, as wide as the terminal allows: the last figures are dropped first, below 60 columns the bar itself.
 *
 * @param columns width of the terminal
 */
function barText(progress: Partial<Progress>, columns: number): string {
  const { percent = 0, rows = 0, rowsPerSecond = 0, etaSeconds, batchRows = 0, skippedCells = 0 } = progress;
  const isDown = progress.direction === 'down';
  const parts = [
    `${percent.toFixed(1).padStart(5)}%`,
    `${count(rows)} ${isDown ? 'cells' : 'rows'}`,
    `${count(rowsPerSecond)}/s`,
    `ETA ${etaSeconds === undefined ? '-' : duration(etaSeconds * 1000)}`,
    ...(isDown ? [] : [`skipped ${count(skippedCells)}`]),
    `batch ${count(batchRows)}`,
  ];
  const room = columns - 1;
  const reserve = room >= BAR_FROM ? BAR_LEAST + 1 : 0;
  while (parts.length > 1 && parts.join(' · ').length > room - reserve) parts.pop();
  const text = parts.join(' · ').slice(0, room);
  const width = Math.min(BAR_MOST, room - text.length - 1);
  if (width < BAR_LEAST) return text;
  const filled = Math.round((width * percent) / 100);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${text}`;
}
