import { readLedger } from './ledger.js';
import { down, type Extra, project, up } from './migrate.js';
import { commandsOf } from './project.js';
import { change, dumpSchema, dumpTable, query, schemaStep, withGeneratedStore } from './stores.js';

// The repository's schema step by itself: v20 to v21 and back.

export const quick: Extra = { backup: false, allowTriggers: true };
export const apply = (path: string, extra?: Extra) =>
  up(path, { ...quick, ...extra }, { to: schemaStep.name });
export const revert = (path: string, extra?: Extra) => down(path, { to: 0 }, { ...quick, ...extra });
export const made = (path: string) => readLedger(path).objects(schemaStep.name);
export const versions = (path: string): unknown[] =>
  query(path, 'SELECT version FROM schema_version ORDER BY rowid');
export const state = (path: string) => ({
  schema: dumpSchema(path),
  versions: versions(path),
  audits: dumpTable(path, 'task_audits'),
});
/** What `up` says that it would do about the schema. */
export const plan = async (path: string) =>
  (await commandsOf(project, { path }).plan(['up', '--to', schemaStep.name])) as {
    readonly steps: readonly { readonly statements: readonly { readonly sql: string }[] }[];
    readonly warnings: readonly string[];
  };

/** Runs `act` on a v20 store that SQL has changed. */
export const withV20 = <Result>(act: (path: string) => Promise<Result>, prepare = ''): Promise<Result> =>
  withGeneratedStore({ audits: 30 }, (path) => {
    change(path, prepare);
    return act(path);
  });
