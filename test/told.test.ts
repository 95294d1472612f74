import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { useNewProject } from './support/new-project.js';

// What a developer is told of a mistake in a file of theirs: the class of the error, the file and the line, and never its message,
// which may quote a row.

/** Stands in every message that must not be told. */
const SECRET = 'secret-of-a-row';

describe('a file that does not load', () => {
  const project = useNewProject();
  const file = (name: string): string => join(project.path, name);

  const config = (
    text = `export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
  ) =>
    project.write('umzug-backfill.config.mjs', `import { defineConfig } from 'umzug-backfill';\n${text}\n`);

  /** Texts of a step file, and what is told of each. */
  const steps: readonly (readonly [title: string, name: string, text: string, told: string])[] = [
    ['a syntax error', 'a.mjs', 'const a = 1;\nconst b = ;\n', 'SyntaxError at STEP:2'],
    ['a syntax error in CommonJS', 'a.cjs', '\n\nconst b = ;\n', 'SyntaxError at STEP:3'],
    ['an export that is not there', 'a.mjs', `import { no } from '../b.mjs';\n`, 'SyntaxError at STEP:1'],
    ['a package that is not there', 'a.mjs', `import 'no-such-package';\n`, 'Error ERR_MODULE_NOT_FOUND'],
    ['an error', 'a.mjs', `// a\n\nthrow new RangeError('${SECRET}');\n`, 'RangeError at STEP:3'],
    [
      'an error whose message looks like a frame',
      'a.mjs',
      `throw new RangeError('a\\n    at ${SECRET} (/${SECRET}/b.js:1:1)');\n`,
      'RangeError at STEP:1',
    ],
    [
      'an error in a helper',
      'a.mjs',
      `import { fails } from '../b.mjs';\nfails();\n`,
      'TypeError at HELPER:2',
    ],
    ['no error at all', 'a.mjs', `throw '${SECRET}';\n`, 'string'],
  ];
  for (const [title, name, text, told] of steps) {
    it(`names class, file and line: ${title}`, async () => {
      config();
      project.write(`steps/${name}`, text);
      project.write('b.mjs', `export function fails() {\n  null.a;\n}\n`);
      const { message, hint } = await project.refused('STEP_INVALID', 1, 'status');
      const where = told.replace('STEP', file(`steps/${name}`)).replace('HELPER', file('b.mjs'));
      expect(message).to.equal(`The step file ${file(`steps/${name}`)} can not be loaded (${where})`);
      expect(message + hint).not.to.include(SECRET);
    });
  }

  it('names them of the config', async () => {
    config(`\nthrow new RangeError('${SECRET}');`);
    const { message } = await project.refused('CONFIG_INVALID', 1, 'status');
    const path = file('umzug-backfill.config.mjs');
    expect(message).to.equal(`The config file ${path} can not be loaded (RangeError at ${path}:3)`);
  });

  /** Declarations that are refused, by the file that holds them, and the file that is named. */
  const declarations: readonly (readonly [text: string, named: string])[] = [
    [
      `import { defineBackfill } from 'umzug-backfill';\n\nexport default defineBackfill({ tabel: 't' });`,
      'a.mjs:3',
    ],
    [`import { sql } from 'umzug-backfill';\nexport default sql('random()');`, 'a.mjs:2'],
    [
      `import { defineSqlStep } from 'umzug-backfill';\nexport default defineSqlStep({ up: ['VACUUM'] });`,
      'a.mjs:2',
    ],
    [
      `import { defineSchemaStep } from 'umzug-backfill';\nexport default defineSchemaStep({ table: '' });`,
      'a.mjs:2',
    ],
    [`import { requireBackfill } from 'umzug-backfill';\nexport default requireBackfill('');`, 'a.mjs:2'],
    [`export { default } from '../shared.mjs';`, '../shared.mjs:3'],
  ];
  for (const [text, named] of declarations) {
    it(`names the place of a declaration that is refused: ${text.split('\n').at(-1)}`, async () => {
      config();
      project.write('steps/a.mjs', text);
      project.write(
        'shared.mjs',
        `import { firstOf } from 'umzug-backfill';\nexport default (() =>\n  firstOf('', ['a']))();`,
      );
      const { message } = await project.refused('STEP_INVALID', 1, 'status');
      expect(message)
        .to.match(/ \(at [^()]*\)$/)
        .and.to.include(`(at ${join(file('steps'), named)})`);
    });
  }

  it('names the place of a config that is refused', async () => {
    config(`export default defineConfig({\n  steps: [],\n});`);
    const { message } = await project.refused('CONFIG_INVALID', 1, 'status');
    expect(message).to.equal(
      `Expected \`steps\` in defineConfig() to be a list of folders (at ${file('umzug-backfill.config.mjs')}:2)`,
    );
  });

  it('is read where a compiler has made CommonJS of it', async () => {
    const compiled = (of: string): string =>
      `"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\nconst kit = require("umzug-backfill");\nexports.default = kit.${of};\n`;
    project.write('package.json', '{}');
    project.write(
      'umzug-backfill.config.js',
      compiled(`defineConfig({ database: { path: 'store.db' }, steps: ['steps'] })`),
    );
    project.write('steps/001-plain.js', compiled(`defineSqlStep({ up: ['CREATE TABLE t (a)'] })`));
    project.write(
      'steps/002-own.cjs',
      `module.exports = require('umzug-backfill').defineSqlStep({ up: ['CREATE TABLE u (a)'] });`,
    );
    new Database(file('store.db')).exec('CREATE TABLE s (a)').close();
    await project.run('up', '--no-backup');
    expect((await project.run('executed')).stdout).to.equal('001-plain\n002-own\n');
    project.write('steps/003-none.js', 'exports.__esModule = true; exports.other = 1;');
    const { message } = await project.refused('STEP_INVALID', 1, 'status');
    expect(message).to.equal(`The step file ${file('steps/003-none.js')} has no step as its default export`);
  });
});
