import type { StoreAddress } from '../address.js';
import { locateStore } from '../db/path.js';
import { toBackfillError } from '../errors.js';
import type { Message } from '../messages/message.js';
import type { MigratorEvent } from '../migrate/options.js';
import { type OutputFileKind, resolveOutputPath, writeAtomically } from '../safety/output-file.js';
import { scrub } from '../secrets.js';
import { visible } from '../visible.js';

/** Interval between two writes of the file during a run, in milliseconds. */
const WRITE_EVERY_MS = 15_000;

/** The metrics file. It contains no values of rows, so other users may read it. */
const METRICS_FILE: OutputFileKind = {
  what: 'metrics file',
  signature: '# HELP umzug_backfill_',
  mode: 0o644,
};

/** Help of each metric. They are gauges, except for the histogram `batch_duration_seconds`. */
const HELP = {
  rows_scanned: 'Rows that the last command has read to fill them',
  cells_filled: 'Cells that the last command has filled',
  cells_skipped: 'Cells that the last command has skipped',
  cells_reverted: 'Cells that the last command has reverted',
  rows_rejected: 'Rows of the last command whose update the store rejected',
  batches: 'Batches that the last command has committed',
  verification_duration_seconds: 'Duration of the last verification',
  batch_duration_seconds: 'Duration of the batches of the last command',
  verification_verdict: 'The verdict of the last verification: 1 for the one that it reached',
  command_exit_code: 'Exit code of the last command',
  command_duration_seconds: 'Duration of the last command',
  command_end_timestamp_seconds: 'When the last command ended, as Unix time',
} as const;

/** Upper bounds of the histogram's buckets, in seconds. */
const BUCKETS = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, Number.POSITIVE_INFINITY];

type Metric = keyof typeof HELP;

type Labels = Readonly<Record<string, string>>;

/**
 * Returns labels in the text format. Their values are without passwords and hidden characters: the format has no escape for these.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
const labelText = (labels: Labels): string => {
  const escaped = (value: string): string => visible(scrub(value)).replace(/["\\]/g, '\\$&');
  return `{${Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)}}`;
};

/**
 * Opens the metrics file of a command, for the textfile collector of the Prometheus node exporter. `onEvent` receives every event, `end` the end
 * of the command.
 *
 * @param given path of the file
 * @param warn called if it cannot be written in the end: the command does not fail
 * @throws {BackfillError} as `resolveOutputPath`, or if there is no store
 * @see https://github.com/prometheus/node_exporter#textfile-collector
 */
export function openMetrics(given: string, store: StoreAddress, warn: (text: Message) => void) {
  const path = resolveOutputPath(METRICS_FILE, given, store.postgres ? undefined : locateStore(store.path));
  const names = Object.keys(HELP) as Metric[];
  const samples = new Map(names.map((name) => [name, new Map<string, number>()]));
  const set = (name: Metric, labels: Labels, value: number, suffix = ''): void =>
    void samples.get(name)?.set(suffix + labelText(labels), value);
  const add = (name: Metric, labels: Labels, value: number, suffix = ''): void =>
    set(name, labels, (samples.get(name)?.get(suffix + labelText(labels)) ?? 0) + value, suffix);
  const startedAt = performance.now();
  let writtenAt = startedAt;

  const count = (event: MigratorEvent): void => {
    switch (event.event) {
      case 'batch_committed': {
        const labels = { backfill: event.backfill };
        const seconds = event.durationMs / 1000;
        add('batches', labels, 1);
        add('rows_scanned', labels, event.rowsScanned);
        add('cells_filled', labels, event.cellsFilled);
        add('cells_skipped', labels, event.cellsSkipped);
        for (const bound of BUCKETS) {
          const le = Number.isFinite(bound) ? String(bound) : '+Inf';
          add('batch_duration_seconds', { le, ...labels }, seconds <= bound ? 1 : 0, '_bucket');
        }
        add('batch_duration_seconds', labels, seconds, '_sum');
        add('batch_duration_seconds', labels, 1, '_count');
        return;
      }
      case 'batch_reverted':
        add('cells_reverted', { backfill: event.backfill }, event.reverted);
        return;
      case 'row_rejected':
        add('rows_rejected', { backfill: event.backfill }, 1);
        return;
      case 'verified': {
        const { backfill, durationMs } = event;
        for (const verdict of ['pass', 'warn', 'fail'])
          set('verification_verdict', { backfill, verdict }, verdict === event.verdict ? 1 : 0);
        set('verification_duration_seconds', { backfill }, durationMs / 1000);
        return;
      }
      default:
        return;
    }
  };
  const save = (): void => {
    const metricLines = [...samples].flatMap(([name, values]) => [
      `# HELP umzug_backfill_${name} ${HELP[name]}`,
      `# TYPE umzug_backfill_${name} ${name === 'batch_duration_seconds' ? 'histogram' : 'gauge'}`,
      ...[...values].map(([key, value]) => `umzug_backfill_${name}${key} ${value}`),
    ]);
    try {
      writeAtomically(METRICS_FILE, path, `${metricLines.join('\n')}\n`);
    } catch (error) {
      warn(toBackfillError(error, 'while writing the metrics file').texts.message);
    }
  };
  return {
    onEvent(event: MigratorEvent): void {
      count(event);
      if (event.event !== 'batch_committed' || performance.now() - writtenAt < WRITE_EVERY_MS) return;
      writtenAt = performance.now();
      save();
    },
    end(command: string, exitCode: number): void {
      set('command_exit_code', { command }, exitCode);
      set('command_duration_seconds', { command }, (performance.now() - startedAt) / 1000);
      set('command_end_timestamp_seconds', { command }, Date.now() / 1000);
      save();
    },
  };
}
