/** Kinds of steps that there is a template for. */
export type TemplateKind = 'schema' | 'backfill' | 'sql';

/**
 * The text of a config file.
 *
 * @param store path of the store as it is to stand there, relative to the current folder of a command
 * @param folder of the steps, relative to the config file
 */
export const configTemplate = (store: string, folder: string): string =>
  `import { defineConfig } from 'umzug-backfill';

export default defineConfig({
  // The store. --db-path goes before it; so does an environment variable with: env: 'ITS_NAME'
  // For databases of PostgreSQL leave it out: --database-url URL names one, or --postgres the one of DATABASE_URL.
  database: { path: ${quoted(store)} },
  // Folders of steps, beside this file. All steps together run in the order of their names.
  steps: [${quoted(folder)}],
});
`;

/** A literal of JavaScript, in single quotes where that takes no escapes. */
const quoted = (text: string): string => (/^[^'\\\p{Cc}]*$/u.test(text) ? `'${text}'` : JSON.stringify(text));

/** Texts of new steps. Each runs as it stands on a store whose table has these names. */
export const STEP_TEMPLATES: Readonly<Record<TemplateKind, string>> = {
  schema: `import { defineSchemaStep } from 'umzug-backfill';

// Makes what is missing of it; \`down\` removes exactly what was made.
export default defineSchemaStep({
  table: 'my_table',
  // New columns start as NULL: a backfill fills the rows that stand.
  columns: { my_column: 'TEXT' },
  // Each index has a transaction of its own, and costs least before its column is filled.
  indexes: { idx_my_table_my_column: { columns: ['my_column'], where: 'my_column IS NOT NULL' } },
});
`,
  backfill: `import { defineBackfill, firstOf } from 'umzug-backfill';

// Fills columns where they are NULL, batch by batch; \`down\` takes back exactly what was filled.
export default defineBackfill({
  table: 'my_table',
  key: 'id',
  // Which rows; without it, all.
  scope: 'payload IS NOT NULL',
  // The first of these members of the JSON in \`payload\` that has a value, else \`created_at\`.
  columns: { my_column: firstOf('payload', ['my_member', 'my_old_member'], 'created_at') },
});
`,
  sql: `import { defineSqlStep } from 'umzug-backfill';

// Runs in one transaction, in which nobody else can write: rows of a large table are for a backfill.
export default defineSqlStep({
  up: ['CREATE TABLE my_table (id INTEGER PRIMARY KEY, payload TEXT, created_at TEXT)'],
  down: ['DROP TABLE my_table'],
});
`,
};
