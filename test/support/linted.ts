import { mkdirSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { before } from 'mocha';
import { type ErrorJson, runCli, useFolder } from './cli.js';
import { linkModules } from './link-package.js';

/** What `lint --json` says: each unsafe thing in a step, or an error. */
export interface LintJson {
  readonly steps: readonly string[];
  readonly findings: readonly (Readonly<
    Record<'step' | 'file' | 'rule' | 'message' | 'suggestion', string>
  > & {
    readonly statement: string | null;
  })[];
  readonly error?: ErrorJson;
}
export type Finding = LintJson['findings'][number];

/** A step of SQL, as a file has it behind these comments. */
export const sqlFile = (up: readonly string[], down?: readonly string[], comments = ''): string =>
  `${comments}\nimport { defineSqlStep } from 'umzug-backfill';
export default defineSqlStep(${JSON.stringify({ up, down })});\n`;

/** Names of the rules that were broken, of one step or of all. */
export const rulesIn = ({ findings }: LintJson, step?: string): string[] =>
  findings.filter((found) => step === undefined || found.step === step).map(({ rule }) => rule);

/** A project for the tests of the enclosing `describe`, whose steps are linted together. */
export function useLinted() {
  const folder = useFolder();
  before(() => {
    linkModules(folder.path);
    mkdirSync(folder.file('steps'));
    writeFileSync(
      folder.file('umzug-backfill.config.mjs'),
      `import { defineConfig } from 'umzug-backfill';
export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
    );
    writeFileSync(folder.file('package.json'), '{ "type": "module" }');
  });
  return {
    file: folder.file,
    /** Writes a step file. One that was loaded keeps what it exports. */
    write: (step: string, text: string): void => writeFileSync(folder.file(`steps/${step}.js`), text),
    async lint(...args: readonly string[]): Promise<LintJson> {
      const result = await runCli(['lint', '--json', ...args], { cwd: folder.path });
      const found = result.json();
      if (!('findings' in found)) return { steps: [], findings: [], error: found.error };
      expect(result.code, result.stdout).to.equal(found.findings.length > 0 ? 1 : 0);
      return found;
    },
  };
}
