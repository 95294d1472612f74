import { createRequire } from 'node:module';
import type { Gauge, Histogram } from 'prom-client';
import type { MigratorEvent } from '../migrate/options.js';
import type { OutputFileKind } from '../safety/output-file.js';
import { scrub } from '../secrets.js';
import { visible } from '../visible.js';

/** How often the file is written while batches go on, in milliseconds. */
const WRITE_EVERY_MS = 15_000;

/** The metrics file: no row's contents stand in it, so that a collector of another user's may read it. */
export const METRICS_FILE: OutputFileKind = {
  what: 'metrics file',
  signature: '# HELP umzug_backfill_',
  mode: 0o644,
};

const HELP = {
  rows_scanned: 'Rows that the last command has read to fill them',
  cells_filled: 'Cells that the last command has filled',
  cells_skipped: 'Cells that the last command has left alone',
  cells_reverted: 'Cells that the last command has taken back',
  rows_rejected: 'Rows of the last command that the store refused to update',
  batches: 'Batches that the last command has committed',
  verification_duration_seconds: 'How long the last verification took',
} as const;

/** The value of a label, without passwords and hidden characters: the format has no escape for these. */
const label = (name: string): string => visible(scrub(name));

/** Collects what a command does, and writes it as Prometheus text. */
export interface Metrics {
  /** Takes every event. */
  onEvent(event: MigratorEvent): void;
  /** Writes the file at the end of a command. */
  end(command: string, exitCode: number): Promise<void>;
}

/**
 * Metrics of one command, for the textfile collector of the Prometheus node exporter.
 *
 * @param write writes the file; does not throw
 * @see https://github.com/prometheus/node_exporter#textfile-collector
 */
export function collectMetrics(write: (text: string) => void): Metrics {
  const prom = createRequire(import.meta.url)('prom-client') as typeof import('prom-client');
  const registry = new prom.Registry();
  const registers = [registry];
  const gauges = Object.fromEntries(
    Object.entries(HELP).map(([name, help]) => [
      name,
      new prom.Gauge({ name: `umzug_backfill_${name}`, help, labelNames: ['backfill'], registers }),
    ]),
  ) as Record<keyof typeof HELP, Gauge>;
  const batchSeconds: Histogram = new prom.Histogram({
    name: 'umzug_backfill_batch_duration_seconds',
    help: 'How long the batches of the last command took',
    labelNames: ['backfill'],
    buckets: [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28],
    registers,
  });
  const verdict = new prom.Gauge({
    name: 'umzug_backfill_verification_verdict',
    help: 'The verdict of the last verification: 1 for the one that it reached',
    labelNames: ['backfill', 'verdict'],
    registers,
  });
  const ends = {
    exit_code: 'Exit code of the last command',
    duration_seconds: 'How long the last command took',
    end_timestamp_seconds: 'When the last command ended, as Unix time',
  } as const;
  const end = Object.fromEntries(
    Object.entries(ends).map(([name, help]) => [
      name,
      new prom.Gauge({
        name: `umzug_backfill_command_${name}`,
        help,
        labelNames: ['command'],
        registers,
      }),
    ]),
  ) as Record<keyof typeof ends, Gauge>;
  const startedAt = performance.now();
  let writtenAt = startedAt;

  const count = (event: MigratorEvent): void => {
    switch (event.event) {
      case 'batch_committed': {
        const labels = { backfill: label(event.backfill) };
        gauges.batches.inc(labels);
        gauges.rows_scanned.inc(labels, event.rowsScanned);
        gauges.cells_filled.inc(labels, event.cellsFilled);
        gauges.cells_skipped.inc(labels, event.cellsSkipped);
        batchSeconds.observe(labels, event.durationMs / 1000);
        return;
      }
      case 'batch_reverted':
        gauges.cells_reverted.inc({ backfill: label(event.backfill) }, event.reverted);
        return;
      case 'row_rejected':
        gauges.rows_rejected.inc({ backfill: label(event.backfill) });
        return;
      case 'verified': {
        const backfill = label(event.backfill);
        for (const name of ['pass', 'warn', 'fail'])
          verdict.set({ backfill, verdict: name }, name === event.verdict ? 1 : 0);
        gauges.verification_duration_seconds.set({ backfill }, event.durationMs / 1000);
        return;
      }
      default:
        return;
    }
  };
  const save = async (): Promise<void> => write(`${await registry.metrics()}\n`); // a reader wants the last line ended, too
  return {
    onEvent(event) {
      count(event);
      if (event.event !== 'batch_committed' || performance.now() - writtenAt < WRITE_EVERY_MS) return;
      writtenAt = performance.now();
      void save();
    },
    async end(command, exitCode) {
      end.exit_code.set({ command }, exitCode);
      end.duration_seconds.set({ command }, (performance.now() - startedAt) / 1000);
      end.end_timestamp_seconds.set({ command }, Date.now() / 1000);
      await save();
    },
  };
}
