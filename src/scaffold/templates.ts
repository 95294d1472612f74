/** Kinds of steps with a template. */
export type TemplateKind = 'schema' | 'backfill' | 'sql';

/**
 * Returns the text of a config file.
 *
 * @param store path of the store, relative to a command's current folder
 * @param folder folder of the steps, relative to the config file
 */
export const configTemplate = (store: string, folder: string): string =>
  `import { defineConfig } from 'umzug-backfill';

export default defineConfig({
  // The store. --db-path overrides it, as does an environment variable: env: 'ITS_NAME'
  // For PostgreSQL, remove it and run commands with --database-url URL, or with --postgres for DATABASE_URL.
  database: { path: ${quoted(store)} },
  // Folders of steps, relative to this file. All steps run in the order of their names.
  steps: [${quoted(folder)}],
});
`;

/** Returns a JavaScript literal, in single quotes if nothing must be escaped. */
const quoted = (text: string): string => (/^[^'\\\p{Cc}]*$/u.test(text) ? `'${text}'` : JSON.stringify(text));

/** Texts of new steps. Each runs unchanged on a store whose table has these names. */
export const STEP_TEMPLATES: Readonly<Record<TemplateKind, string>> = {
  schema: `import { defineSchemaStep } from 'umzug-backfill';

// Creates missing columns and indexes; \`down\` drops exactly those that were created.
export default defineSchemaStep({
  table: 'my_table',
  // New columns are NULL at first; a backfill fills existing rows.
  columns: { my_column: 'TEXT' },
  // Each index is created in a separate transaction, which takes least time before its column is filled.
  indexes: { idx_my_table_my_column: { columns: ['my_column'], where: 'my_column IS NOT NULL' } },
});
`,
  backfill: `import { defineBackfill, firstOf } from 'umzug-backfill';

// Fills NULLs batch by batch; \`down\` reverts exactly what was filled.
export default defineBackfill({
  table: 'my_table',
  key: 'id',
  // Condition on the rows to fill. Default: all rows.
  scope: 'payload IS NOT NULL',
  // The first of these members of the JSON in \`payload\` that has a usable value, else \`created_at\`.
  columns: { my_column: firstOf('payload', ['my_member', 'my_old_member'], 'created_at') },
});
`,
  sql: `import { defineSqlStep } from 'umzug-backfill';

// Runs in one transaction, during which no other program can write: use a backfill for many rows.
export default defineSqlStep({
  up: ['CREATE TABLE my_table (id INTEGER PRIMARY KEY, payload TEXT, created_at TEXT)'],
  down: ['DROP TABLE my_table'],
});
`,
};
