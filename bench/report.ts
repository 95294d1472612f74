import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { renderLines } from '../src/cli/print.js';
import { english } from '../src/messages/message.js';
import { has, root } from './measure.js';

/** One measured row. */
export interface Row {
  readonly what: string;
  readonly ours: string;
  readonly rival: string;
  readonly ratio?: number;
  readonly target: string;
  /** The ratio that the target allows. */
  readonly atMost?: number;
  readonly isMet?: boolean;
}

/** A row of two times, of which the first is to be at most so many times the second. */
export function compared(what: string, ours: number, rival: number, atMost: number, note = ''): Row {
  return {
    what,
    ours: `${ours.toFixed(2)} s`,
    rival: `${rival.toFixed(2)} s${note}`,
    ratio: ours / rival,
    atMost,
    target: `≤ ${atMost} ×`,
  };
}

/** A row that a missing program leaves empty. */
export const missing = (what: string, program: string): Row => ({
  what,
  ours: `not measured: ${program} is not installed`,
  rival: '',
  target: '',
});

const HEAD = ['measured', 'ours', 'baseline', 'ratio', 'target', ''];

function cells({ what, ours, rival, ratio, target, atMost, isMet }: Row): string[] {
  const met = isMet ?? (atMost === undefined || ratio === undefined ? undefined : ratio <= atMost);
  const verdict = met === undefined || target === '' ? '' : met ? 'met' : 'missed';
  return [what, ours, rival, ratio === undefined ? '' : `${ratio.toFixed(2)} ×`, target, verdict];
}

const version = (program: string): string =>
  has(program)
    ? String(execFileSync(program, ['--version'], { encoding: 'utf8' }))
        .trim()
        .split(' ')
        .slice(0, 2)
        .join(' ')
    : 'not installed';

/** Prints the rows as a table. */
export function printRows(title: string, rows: readonly Row[]): void {
  const table = { heads: HEAD, rows: rows.map(cells) };
  console.log(renderLines(['', title, table], { translate: english, columns: undefined }).join('\n'));
}

/** Writes bench/RESULTS.md: the rows, what they were measured with, and the notes of bench/NOTES.md. */
export function writeResults(
  command: string,
  sections: readonly (readonly [title: string, rows: readonly Row[]])[],
): void {
  const sqlite = new Database(':memory:').prepare('SELECT sqlite_version()').pluck().get();
  const machine = [
    `- date: ${new Date().toISOString().slice(0, 10)}, by \`${command}\``,
    `- machine: ${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split('-')[0]}, shared`,
    `- node ${process.version}, SQLite ${sqlite} in better-sqlite3, sqlite3 shell ${version('sqlite3')}, ${version('python3')}`,
  ];
  const line = (parts: readonly string[]): string =>
    `| ${parts.map((part) => part.replaceAll('|', '\\|')).join(' | ')} |`;
  const tables = sections.map(([title, rows]) =>
    [`## ${title}`, '', line(HEAD), line(HEAD.map(() => '---')), ...rows.map((row) => line(cells(row)))].join(
      '\n',
    ),
  );
  const notes = join(root, 'bench/NOTES.md');
  const text = [
    '# Results of the benchmarks',
    machine.join('\n'),
    'Whole processes, each on a fresh copy of one store, alternating with the baseline; medians. Written by `npm run bench`.',
    ...tables,
    ...(existsSync(notes) ? [readFileSync(notes, 'utf8').trim()] : []),
  ].join('\n\n');
  writeFileSync(join(root, 'bench/RESULTS.md'), `${text}\n`);
}
