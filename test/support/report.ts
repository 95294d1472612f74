import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { parseHTML } from 'linkedom';
import { type BackfillDefinition, defineBackfill, firstOf } from '../../src/index.js';
import { project as agentOsProject, codeOf, type Extra } from './migrate.js';
import { commandsOf, named, type Project, run } from './project.js';
import { withFolder } from './stores.js';

/** A report, to be looked at. */
export interface Page {
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the type of a document is not among those that the tests are compiled with
  readonly document: any;
  /** All that a person reads, without markup. */
  readonly words: string;
}

/** What a test may ask of a report. */
export type ReportExtra = Extra & { readonly lang?: 'en' | 'zh' };

/** Makes a report and reads it. */
export const reportOf = (
  path: string,
  { project = agentOsProject, lang = 'en', ...extra }: ReportExtra = {},
): Promise<Page> =>
  withFolder(async (folder) => {
    const file = join(folder, 'report.html');
    await run(project, { path }, ['report', '--out', file, '--lang', lang], extra);
    return readPage(file);
  });

/** Reads a report. */
export function readPage(file: string): Page {
  const text = readFileSync(file, 'utf8');
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const { document } = parseHTML(text) as any;
  return { text, document, words: document.querySelector('body').textContent.replace(/\s+/g, ' ') };
}

/** Text of each element that a selector finds. */
export const texts = ({ document }: Page, selector: string): string[] =>
  [...document.querySelectorAll(selector)].map((element) => element.textContent.trim());

/** A chart's caption, and the cells of the table of its figures. */
export interface Figure {
  readonly caption: string;
  readonly rows: readonly (readonly string[])[];
}

/** The chart of this title; undefined where there is none. */
export function figureOf({ document }: Page, title: string): Figure | undefined {
  for (const figure of document.querySelectorAll('figure')) {
    if (figure.querySelector('figcaption strong').textContent !== title) continue;
    const rows: Figure['rows'] = [...figure.querySelectorAll('tbody tr')].map((row) =>
      [...row.querySelectorAll('td')].map((cell) => cell.textContent),
    );
    return { caption: figure.querySelector('figcaption').textContent, rows };
  }
  return undefined;
}

/** A backfill of the table `events`, that makes its column itself. */
export const backfillOf = (
  name: string,
  column: string,
  checks: NonNullable<BackfillDefinition['checks']> = {},
) =>
  named(
    name,
    defineBackfill({
      table: 'events',
      key: 'id',
      columns: { [column]: firstOf('body', [column], 'created') },
      checks,
    }),
  );

/** Makes a store with a table `events`, that has the columns and so many rows. */
export function makeEvents(path: string, columns: readonly string[], rows: number): void {
  const db = new Database(path);
  db.exec(
    `CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created TEXT, ${columns.join(', ')})`,
  );
  const insert = db.prepare(
    `INSERT INTO events (kind, body, created) VALUES (?, '{}', '2026-01-20 10:00:00')`,
  );
  db.transaction(() => {
    for (let i = 0; i < rows; i += 1) insert.run(`kind ${i % 3}`);
  })();
  db.close();
}

/** Applies a project's steps, without a backup. */
export async function apply(path: string, project: Project, extra: Extra = {}): Promise<void> {
  const code = codeOf(await commandsOf(project, { path }).up({}, { backup: false, ...extra }));
  if (code !== undefined) throw new Error(`Expected \`up\` to succeed, got ${code}`);
}
