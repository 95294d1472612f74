import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { type BackfillDefinition, defineBackfill, firstOf } from '../../src/index.js';
import { numbers } from './customers.js';
import { project as agentOsProject, codeOf, type Extra } from './migrate.js';
import { commandsOf, named, type Project, run } from './project.js';
import { change, withFolder } from './stores.js';

/** Makes a report and reads it. */
export const reportOf = (
  path: string,
  { project = agentOsProject, lang = 'en', ...extra }: Extra & { readonly lang?: 'en' | 'zh' } = {},
): Promise<Page> =>
  withFolder(async (folder) => {
    const file = join(folder, 'report.html');
    await run(project, { path }, ['report', '--out', file, '--lang', lang], extra);
    return readPage(file);
  });

/** Reads a report; `words` is all that a person reads of it, without markup. */
export function readPage(file: string) {
  const text = readFileSync(file, 'utf8');
  // biome-ignore lint/suspicious/noExplicitAny: the type of a document is not among those that the tests are compiled with
  const { document } = parseHTML(text) as any;
  const words: string = document.querySelector('body').textContent.replace(/\s+/g, ' ');
  return { text, document, words };
}

/** A report, to be looked at. */
export type Page = ReturnType<typeof readPage>;

/** Text of each element that a selector finds. */
export const texts = ({ document }: Page, selector: string): string[] =>
  [...document.querySelectorAll(selector)].map((element) => element.textContent.trim());

/** The caption of the chart of this title, and the cells of the table of its figures; undefined where there is none. */
export function figureOf({ document }: Page, title: string) {
  for (const figure of document.querySelectorAll('figure')) {
    if (figure.querySelector('figcaption strong').textContent !== title) continue;
    const rows: string[][] = [...figure.querySelectorAll('tbody tr')].map((row) =>
      [...row.querySelectorAll('td')].map((cell) => cell.textContent),
    );
    return { caption: String(figure.querySelector('figcaption').textContent), rows };
  }
  return undefined;
}

export type Figure = NonNullable<ReturnType<typeof figureOf>>;

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
export const makeEvents = (path: string, columns: readonly string[], rows: number): void =>
  change(
    path,
    `CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created TEXT, ${columns.join(', ')});
    ${numbers(rows)} INSERT INTO events (kind, body, created)
    SELECT 'kind ' || ((i - 1) % 3), '{}', '2026-01-20 10:00:00' FROM n LIMIT ${rows}`,
  );

/** Applies a project's steps, without a backup. */
export async function apply(path: string, project: Project, extra: Extra = {}): Promise<void> {
  const code = codeOf(await commandsOf(project, { path }).up({}, { backup: false, ...extra }));
  if (code !== undefined) throw new Error(`Expected \`up\` to succeed, got ${code}`);
}
