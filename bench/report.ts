import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { renderLines } from '../src/cli/print.js';
import { english } from '../src/messages/message.js';
import { has, root, type StoreName, type Taken } from './measure.js';

/** One measured row. */
export interface Row {
  readonly what: string;
  /** Store that it was measured on. Default: another database, or none. */
  readonly store?: StoreName;
  readonly ours: string;
  readonly rival: string;
  readonly ratio?: number | string;
  readonly target: string;
  readonly isMet?: boolean | undefined;
}

/** Rows of one section, with when and how they were measured. */
export interface Section {
  readonly title: string;
  /** When and how, by store; `all` for rows without one. */
  readonly measured: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
}

const timesText = ({ seconds, cpu }: Taken): string =>
  `${seconds.toFixed(2)} s${Number.isNaN(cpu) ? '' : ` (${cpu.toFixed(2)} s)`}`;

/** Maximum ratios of time and of processor time. */
interface Limits {
  readonly time?: number;
  readonly cpu?: number;
}

/** Returns a row that compares two times, with the processor times in parentheses. */
export function compared(what: string, ours: Taken, rival: Taken, limits: Limits, note = ''): Row {
  const [ratio, cpuRatio] = [ours.seconds / rival.seconds, ours.cpu / rival.cpu];
  const isBeyond = (value: number, limit = Number.POSITIVE_INFINITY): boolean => value > limit;
  const isUnknown = limits.cpu !== undefined && Number.isNaN(cpuRatio);
  const targets = [
    ...(limits.time === undefined ? [] : [`≤ ${limits.time} ×`]),
    ...(limits.cpu === undefined ? [] : [`(≤ ${limits.cpu} ×)`]),
  ];
  return {
    what,
    ours: timesText(ours),
    rival: `${timesText(rival)}${note === '' ? '' : ` ${note}`}`,
    ratio: `${ratio.toFixed(2)} ×${Number.isNaN(cpuRatio) ? '' : ` (${cpuRatio.toFixed(2)} ×)`}`,
    target: targets.join(' '),
    isMet:
      isBeyond(ratio, limits.time) || isBeyond(cpuRatio, limits.cpu) ? false : isUnknown ? undefined : true,
  };
}

/** Returns a row for one time. */
export const timed = (what: string, ours: Taken, atMost?: number): Row => ({
  ...figure(what, timesText(ours)),
  ...(atMost === undefined ? {} : { target: `≤ ${atMost} s`, isMet: ours.seconds <= atMost }),
});

/** Returns a row without a target. */
export const figure = (what: string, ours: string, rival = ''): Row => ({ what, ours, rival, target: '' });

/** Returns a row for a peak of memory. */
export const memory = (what: string, peakMib: number, atMost: number): Row => ({
  ...figure(what, `${peakMib.toFixed(0)} MiB`),
  target: `≤ ${atMost} MiB`,
  isMet: peakMib <= atMost,
});

/** Returns a row that a missing program leaves empty. */
export const missing = (what: string, program: string): Row =>
  figure(what, `not measured: ${program} is not installed`);

const HEAD = ['measured', 'store', 'ours', 'baseline', 'ratio', 'target', ''];

function cells({ what, store, ours, rival, ratio = '', target, isMet }: Row): string[] {
  const verdict = isMet === undefined || target === '' ? '' : isMet ? 'met' : 'missed';
  const times = typeof ratio === 'number' ? `${ratio.toFixed(2)} ×` : ratio;
  return [what, store ?? '', ours, rival, times, target, verdict];
}

const version = (program: string): string =>
  has(program)
    ? execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().split(' ').slice(0, 2).join(' ')
    : 'not installed';

/** Prints the rows as a table. */
export function printRows(title: string, rows: readonly Row[]): void {
  const table = { heads: HEAD, rows: rows.map(cells) };
  console.log(renderLines(['', title, table], { translate: english, columns: undefined }).join('\n'));
}

const figuresFile = join(root, 'bench/results.json');

/**
 * Replaces a section in bench/results.json, except for the rows of a store that was not measured. Then writes bench/RESULTS.md from all
 * sections, and the notes of bench/NOTES.md.
 *
 * @param order names of all sections
 */
export function writeResults(
  name: string,
  title: string,
  how: string,
  rows: readonly Row[],
  order: readonly string[],
): void {
  const kept: Record<string, Section> = existsSync(figuresFile)
    ? JSON.parse(readFileSync(figuresFile, 'utf8'))
    : {};
  const stores = new Set(rows.map(({ store }) => store));
  const others = (kept[name]?.rows ?? []).filter(({ store }) => store !== undefined && !stores.has(store));
  const names = [...new Set([...rows, ...others].map(({ what }) => what))];
  const merged = [...rows, ...others].sort((a, b) => names.indexOf(a.what) - names.indexOf(b.what));
  const measured = Object.fromEntries(rows.map(({ store = 'all' }) => [store, how]));
  for (const { store = 'all' } of others) measured[store] = kept[name]?.measured[store] ?? '';
  kept[name] = { title, measured, rows: merged };
  const sections = Object.fromEntries(order.flatMap((one) => (kept[one] ? [[one, kept[one]]] : [])));
  writeFileSync(figuresFile, `${JSON.stringify(sections, undefined, 2)}\n`);
  const line = (parts: readonly string[]): string =>
    `| ${parts.map((part) => part.replaceAll('|', '\\|')).join(' | ')} |`;
  const tables = Object.values(sections).map(({ title: heading, measured: by, rows: all }) =>
    [
      `## ${heading}\n\n${measuredText(by)}.\n`,
      line(HEAD),
      line(HEAD.map(() => '---')),
      ...all.map((row) => line(cells(row))),
    ].join('\n'),
  );
  const notes = readFileSync(join(root, 'bench/NOTES.md'), 'utf8').trim();
  writeFileSync(join(root, 'bench/RESULTS.md'), `${[intro(), ...tables, notes].join('\n\n')}\n`);
}

function measuredText(by: Section['measured']): string {
  const texts = new Set(Object.values(by));
  const parts = Object.entries(by).map(([store, how]) => `${how} (${store})`);
  return texts.size === 1 ? [...texts].join('') : parts.join('; ');
}

function intro(): string {
  const sqlite = new Database(':memory:').prepare('SELECT sqlite_version()').pluck().get();
  return `# Results of the benchmarks

- machine: ${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split('-')[0]}
- node ${process.version}, SQLite ${sqlite} in better-sqlite3, sqlite3 shell ${version('sqlite3')}, ${version('python3')}

Whole processes, each on a fresh copy of one store, alternating with the baseline; medians. In parentheses: processor time, user and system, of all processes
together. Two stores: \`bench\` has payloads of every form, 1% of them hostile, and 12 indexes; \`wide\` has payloads of 280 to 700 bytes, each of the seven
names equally often, none in 15% of the rows in scope, and 11 indexes. 70% of the rows are in scope in both. Written by \`npm run bench\`.`;
}
