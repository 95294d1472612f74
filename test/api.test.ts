import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { apiPage } from './support/api-page.js';
import { root, useFolder } from './support/cli.js';
import { readEntries } from './support/declarations.js';
import { withOptionTables } from './support/options-page.js';
import { manifest } from './support/package.js';

// The public API is documented where it stands, and docs/api.md is made of that: UMZUG_BACKFILL_API=write writes the page.

function expectPage(file: string, expected: string): void {
  const page = join(root, file);
  if (process.env.UMZUG_BACKFILL_API === 'write') writeFileSync(page, expected);
  expect(readFileSync(page, 'utf8')).to.equal(expected);
}

describe('the public API', () => {
  const folder = useFolder();
  const entries = readEntries();
  const exported = entries.flatMap((entry) => entry.exported);

  it('has a docstring on every export', () => {
    expect(exported.length).to.be.above(20);
    expect(exported.filter(({ doc }) => doc === undefined).map(({ name }) => name)).to.deep.equal([]);
  });

  it('has one on every option', () => {
    const options = exported.filter(({ name }) => name.endsWith('Options'));
    const bare = options.flatMap(({ name, members }) =>
      members.flatMap((member) => (member.doc === undefined ? `${name}.${member.name}` : [])),
    );
    expect(options.length).to.be.above(5);
    expect(bare).to.deep.equal([]);
  });

  it('declares each class in one entry, because two of one name are two types', () => {
    const classes = entries.flatMap(({ exported, others }) =>
      [...exported, ...others].flatMap(({ kind, name }) => (kind === 'class' ? name : [])),
    );
    expect(classes).to.include.members(['BackfillError', 'BackfillTestError']);
    expect(classes).to.deep.equal([...new Set(classes)]);
  });

  it('says of every function what it takes, and shows an example', () => {
    for (const { name, code, doc } of exported.filter(({ kind }) => kind === 'function')) {
      if (!code.includes('()')) expect(doc?.params, name).not.to.have.length(0);
      expect(doc?.examples, name).not.to.have.length(0);
    }
  });

  it('names no type of Node, which a project need not have', () => {
    for (const { module, exported, others } of entries)
      for (const { name, code } of [...exported, ...others])
        expect(code, `${module}: ${name}`).not.to.match(/\b(?:Buffer|NodeJS)\b/);
  });

  it('has examples that compile', () => {
    const names = new Map(entries.map(({ module, exported }) => [module, exported.map(({ name }) => name)]));
    const imports = [...names].map(([module, all]) => `import { ${all.join(', ')} } from '${module}';\n`);
    const files = exported.flatMap(({ name, doc }) =>
      (doc?.examples ?? []).map((example, i) => {
        const file = `${name}-${i}.ts`;
        writeFileSync(folder.file(file), `${imports.join('')}${example}\n`);
        return file;
      }),
    );
    symlinkSync(join(root, 'node_modules'), folder.file('node_modules')); // what an example may import beside
    const paths = Object.entries(manifest.exports).flatMap(([path, target]) =>
      typeof target === 'string' ? [] : [[path.replace('.', 'umzug-backfill'), [join(root, target.types)]]],
    );
    const compilerOptions = {
      ...{ strict: true, noEmit: true, target: 'es2022', module: 'nodenext' },
      ...{
        types: ['node'],
        typeRoots: [join(root, 'node_modules/@types')],
        paths: Object.fromEntries(paths),
      },
    };
    writeFileSync(folder.file('package.json'), '{ "type": "module" }');
    writeFileSync(folder.file('tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    const tsc = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder.path], { encoding: 'utf8' });
    expect(tsc.stdout).to.equal('');
    expect(files.length).to.be.above(5);
  });

  it('declares steps also where a bundler has put it beside another package.json', () => {
    cpSync(join(root, 'dist/lib'), folder.file('bundled'), { recursive: true });
    writeFileSync(folder.file('package.json'), '{ "type": "module" }');
    writeFileSync(
      folder.file('step.js'),
      `import { defineSchemaStep } from './bundled/index.js';
      console.log(defineSchemaStep({ table: 't', columns: { c: 'TEXT' } }).kind);`,
    );
    const { stdout, stderr } = spawnSync(process.execPath, [folder.file('step.js')], { encoding: 'utf8' });
    expect(stdout, stderr).to.equal('schema\n');
  });

  it('is what docs/api.md says (`npm run api` writes it)', () => expectPage('docs/api.md', apiPage()));

  it('has the options that docs/cli.md says (`npm run api` writes its tables)', () => {
    const page = readFileSync(join(root, 'docs/cli.md'), 'utf8');
    expect(page.match(/<!-- options: /g)).to.have.length(4);
    expectPage('docs/cli.md', withOptionTables(page));
  });
});
