import Database from 'better-sqlite3';
import { parseHTML } from 'linkedom';
import type { BackfillChecks } from '../../src/backfill/checks.js';
import type { BackfillDefinition } from '../../src/backfill/define.js';
import type { Project } from '../../src/config.js';
import type { ReportOptions } from '../../src/report/report.js';
import type { Step } from '../../src/steps/step.js';
import { project as agentOsProject } from './migrate.js';

// As the migrator's commands: loaded late, so that they share their modules with what they load late.
const { makeReport } = await import('../../src/report/report.js');
const { up } = await import('../../src/migrator/up.js');
const { defineBackfill, firstOf } = await import('../../src/index.js');
const { defineConfig } = await import('../../src/config.js');

/** A report, to be looked at. */
export interface Page {
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the type of a document is not among those that the tests are compiled with
  readonly document: any;
  /** All that a person reads, without markup. */
  readonly words: string;
}

/** Makes a report and reads it. */
export async function reportOf(
  path: string,
  {
    project = agentOsProject,
    now,
    ...how
  }: ReportOptions & { readonly project?: Project; readonly now?: () => Date } = {},
): Promise<Page> {
  const { text } = await makeReport({ project, path, now }, how);
  return pageOf(text);
}

/** Reads a report. */
export function pageOf(text: string): Page {
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const { document } = parseHTML(text) as any;
  return { text, document, words: document.querySelector('body').textContent.replace(/\s+/g, ' ') };
}

/** Text of each element that a selector finds. */
export const texts = ({ document }: Page, selector: string): string[] =>
  [...document.querySelectorAll(selector)].map((element) => element.textContent.trim());

/** A backfill of the table `events`, that makes its column itself. */
export const backfillOf = (
  name: string,
  column: string,
  checks: BackfillChecks = {},
): Step & BackfillDefinition => ({
  ...defineBackfill({
    table: 'events',
    key: 'id',
    columns: { [column]: firstOf('body', [column], 'created') },
    checks,
  }),
  name,
  path: `${name}.ts`,
});

/** A project of these steps. */
export const projectOf = (...steps: readonly Step[]): Project => ({
  config: defineConfig({ database: { path: 'store.db' }, steps: ['steps'] }),
  steps,
});

/** Makes a store with a table `events`, that has the columns and so many rows. */
export function makeEvents(path: string, columns: readonly string[], rows: number): void {
  const db = new Database(path);
  db.exec(
    `CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created TEXT, ${columns.join(', ')})`,
  );
  const insert = db.prepare(
    `INSERT INTO events (kind, body, created) VALUES (?, '{}', '2026-01-20 10:00:00')`,
  );
  for (let i = 0; i < rows; i += 1) insert.run(`kind ${i % 3}`);
  db.close();
}

/** Applies a project's steps, without a backup. */
export const apply = (path: string, project: Project) => up({ project, path, backup: false });
