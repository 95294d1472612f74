import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root, runCommand } from '../support/cli.js';
import { useNewProject } from '../support/new-project.js';
import { asAgentOs } from '../support/stores.js';

// A new project, from an empty folder in which the package is installed to a store that is filled.

/** The store that the templates are for. */
function makeStore(path: string): void {
  const db = new Database(path);
  db.exec(`CREATE TABLE my_table (id INTEGER PRIMARY KEY, payload TEXT, created_at TEXT);
    INSERT INTO my_table (payload, created_at) VALUES ('{"my_member":"a"}', 'c'), ('{"my_old_member":"b"}', 'c'), ('{}', 'c'), (NULL, 'c')`);
  db.close();
}

describe('a new project', () => {
  const project = useNewProject();

  for (const [type, extension] of [
    ['module', 'js'],
    ['commonjs', 'mjs'],
    [undefined, 'mjs'],
  ] as const) {
    it(`of type ${type} is made, gets its steps, is linted and runs, up and down`, async () => {
      project.write('package.json', JSON.stringify({ type }));
      makeStore(join(project.path, 'store.db'));
      await project.run('init');
      expect((await project.run('create', 'order-times')).stdout).to.include(
        `Wrote migrations/001-order-times.${extension}.`,
      );
      await project.run('create', 'fill-order-times', '--backfill');
      expect(project.filesIn('migrations')).to.deep.equal([
        `001-order-times.${extension}`,
        `002-fill-order-times.${extension}`,
      ]);
      const lint = await project.run('lint', '--db-path', 'store.db');
      expect(lint.stdout).to.equal('No unsafe operations found. Steps checked: 2.\n');
      const { stderr } = await project.run('up', '--no-backup', '--log-level', 'warn');
      expect(stderr).to.equal('');
      const cells = (): unknown[] =>
        asAgentOs(join(project.path, 'store.db'), (db) =>
          db.prepare('SELECT my_column FROM my_table ORDER BY id').pluck().all(),
        );
      expect(cells()).to.deep.equal(['a', 'b', 'c', null]);
      await project.run('status', '--check');
      await project.run('down', '--to', '0', '--no-backup');
      expect(cells).to.throw('no such column');
    });
  }

  it('has a step of SQL that runs by itself', async () => {
    await project.run('init', '--db-path', 'data.db');
    new Database(join(project.path, 'data.db')).exec('CREATE TABLE one (id)').close();
    await project.run('create', 'my-table', '--sql');
    await project.run('lint', '--sqlite', '3.24');
    await project.run('up', '--no-backup');
    const has = (): unknown =>
      asAgentOs(join(project.path, 'data.db'), (db) =>
        db.prepare(`SELECT count(*) FROM sqlite_schema WHERE name = 'my_table'`).pluck().get(),
      );
    expect(has()).to.equal(1);
    await project.run('down', '--no-backup');
    expect(has()).to.equal(0);
  });

  it('is written as a formatter would write it', async () => {
    project.write('package.json', '{ "type": "module" }');
    await project.run('init', '--db-path', `it's\\odd.db`);
    await project.run('create', 'one');
    await project.run('create', 'two', '--backfill');
    await project.run('create', 'three', '--sql');
    project.write(
      'biome.json',
      readFileSync(join(root, 'biome.json'), 'utf8').replace(/^.*"\$schema".*$/m, ''),
    );
    const { status, stdout, stderr } = spawnSync(
      join(root, 'node_modules/.bin/biome'),
      ['check', 'migrations', 'umzug-backfill.config.js'],
      {
        cwd: project.path,
        encoding: 'utf8',
      },
    );
    expect(status, stdout + stderr).to.equal(0);
    expect(stdout).to.include('Checked 4 files');
  });

  for (const type of ['module', 'commonjs', undefined])
    it(`of type ${type} is TypeScript where there is a tsconfig.json, compiles and runs`, async () => {
      project.write('package.json', JSON.stringify({ type }));
      project.write(
        'tsconfig.json',
        JSON.stringify({
          compilerOptions: {
            module: 'nodenext',
            outDir: 'dist',
            rootDir: '.',
            strict: true,
            types: [],
            skipLibCheck: true,
          },
          include: ['*.ts', 'migrations'],
        }),
      );
      makeStore(join(project.path, 'store.db'));
      const { stdout } = await project.run('init');
      expect(stdout).to.include('umzug-backfill.config.ts').and.include('npx tsc');
      const tsc = async (): Promise<void> => {
        const result = await runCommand([join(root, 'node_modules/.bin/tsc')], { cwd: project.path });
        expect(result.code, result.stdout).to.equal(0);
      };
      await tsc();
      await project.run('create', 'order-times');
      await project.run('create', 'fill', '--backfill');
      expect(project.filesIn('migrations')).to.deep.equal(['001-order-times.ts', '002-fill.ts']);
      await tsc();
      const compiled = project.read('dist/migrations/002-fill.js');
      expect(compiled).to.include(type === 'module' ? 'export default' : 'exports.default =');
      await project.run('lint');
      await project.run('up', '--no-backup');
      await project.run('status', '--check');
    });
});

describe('init', () => {
  const project = useNewProject();

  it('says what comes next, in both languages and as JSON, and can only say so', async () => {
    const { stdout } = await project.run('init', '--dry-run');
    expect(stdout)
      .to.match(/^Dry run of `init`: nothing was written/)
      .and.include('umzug-backfill create NAME');
    expect(project.filesIn()).to.deep.equal([]);
    expect((await project.run('init', '--dry-run', '--json')).json()).to.deep.equal({
      command: 'init',
      dryRun: true,
      config: 'umzug-backfill.config.mjs',
      folders: ['migrations'],
      isCompiled: false,
      isInstalled: true,
    });
    expect((await project.run('init', '--lang', 'zh')).stdout).to.include('接下来：\n');
    expect(project.filesIn().sort()).to.deep.equal(['migrations', 'umzug-backfill.config.mjs']);
  });

  it('writes no URL into a config, which others read and which may hold a password', async () => {
    const url = 'postgres://u:Zq9xTopsecret@h/db';
    const { message, hint } = await project.refused('USAGE', 2, 'init', '--db-path', url);
    expect(message + hint).not.to.include('Topsecret');
    expect(project.filesIn()).to.deep.equal([]);
  });

  it('is what a folder without a config is told of, with the same store', async () => {
    const { hint } = await project.refused('CONFIG_MISSING', 2, 'up', '--db-path', 'a b.db');
    const [, command = ''] = /: (umzug-backfill init .*)$/.exec(hint) ?? [];
    expect(command).to.equal(`umzug-backfill init --db-path 'a b.db'`);
    await project.run('init', '--db-path', 'a b.db');
    expect(project.read('umzug-backfill.config.mjs')).to.include(`path: 'a b.db'`);
  });

  it('writes over no config, wherever one stands', async () => {
    for (const name of [
      'umzug-backfill.config.js',
      'umzug-backfill.config.mjs',
      'umzug-backfill.config.ts',
      'dist/umzug-backfill.config.js',
    ]) {
      project.write(name, '// mine\n');
      const { message } = await project.refused('FILE_EXISTS', 1, 'init');
      expect(message).to.include(name);
      expect(project.read(name)).to.equal('// mine\n');
      await runCommand(['rm', '-r', join(project.path, name)]);
    }
    expect(project.filesIn()).to.deep.equal(['dist']);
  });

  it('writes through no link, though it leads to no file yet', async () => {
    symlinkSync('elsewhere.mjs', join(project.path, 'umzug-backfill.config.mjs'));
    await project.refused('FILE_EXISTS', 1, 'init');
    expect(project.filesIn()).not.to.include('elsewhere.mjs');
  });

  it('leaves a folder of steps as it is, and refuses a file in its place', async () => {
    project.write('migrations/README.md', 'mine');
    await project.run('init');
    expect(project.filesIn('migrations')).to.deep.equal(['README.md']);
    await runCommand([
      'rm',
      '-r',
      join(project.path, 'migrations'),
      join(project.path, 'umzug-backfill.config.mjs'),
    ]);
    project.write('migrations', 'a file');
    await project.refused('FILE_EXISTS', 1, 'init');
    expect(project.filesIn()).to.deep.equal(['migrations']);
  });

  it('says so where nothing can be written', async () => {
    project.write(
      'umzug-backfill.config.mjs',
      `import { defineConfig } from 'umzug-backfill';
      export default defineConfig({ database: { path: 'store.db' }, steps: ['file/steps'] });`,
    );
    project.write('file', '');
    const { message } = await project.refused('FOLDER_UNWRITABLE', 1, 'create', 'one');
    expect(message).to.include('ENOTDIR');
  });

  it('names the package where it is not installed', async () => {
    await runCommand(['rm', '-r', join(project.path, 'node_modules/umzug-backfill')]);
    expect((await project.run('init')).stdout).to.include('\n  npm install umzug-backfill\n');
  });
});

describe('create', () => {
  const project = useNewProject();

  const config = (steps: readonly string[]): void =>
    project.write(
      'umzug-backfill.config.mjs',
      `import { defineConfig } from 'umzug-backfill';
      export default defineConfig({ database: { path: 'store.db' }, steps: ${JSON.stringify(steps)} });`,
    );
  const view = `export { default } from 'nowhere';`;
  const fileOf = async (...args: readonly string[]): Promise<string> =>
    (await project.run('create', ...args, '--dry-run', '--json')).json().file;

  it('takes the first folder, for a backfill the one named backfills', async () => {
    config(['schema', 'backfills', 'views']);
    expect(await fileOf('one')).to.equal('schema/001-one.mjs');
    expect(await fileOf('one', '--sql')).to.equal('schema/001-one.mjs');
    expect(await fileOf('one', '--backfill')).to.equal('backfills/001-one.mjs');
    expect(project.filesIn()).to.deep.equal(['umzug-backfill.config.mjs']);
  });

  it('takes the last folder for a backfill where none is named so', async () => {
    config(['schema', 'data']);
    expect(await fileOf('one', '--backfill')).to.equal('data/001-one.mjs');
  });

  it('goes on with the numbers of all folders, and the extension of its own; a broken step is no hindrance', async () => {
    config(['schema', 'data']);
    project.write('schema/0008-one.js', view);
    project.write('data/0009-two.mjs', view);
    project.write('data/0010-notes.md', '');
    expect(await fileOf('three')).to.equal('schema/0010-three.js');
    expect(await fileOf('three', '--backfill')).to.equal('data/0010-three.mjs');
  });

  it('refuses a name that can not be one, that is taken, or that would not come last', async () => {
    config(['schema', 'data']);
    project.write('data/001-taken.mjs', view);
    for (const name of ['', '9', '003-x', '../x', 'a b', 'a/b', 'ä', 'x.js', '-x', "x'", 'x'.repeat(101)])
      expect((await project.cli('create', '--', name)).code, name).to.equal(2);
    const { message } = await project.refused('FILE_EXISTS', 1, 'create', 'taken');
    expect(message).to.include('data/001-taken.mjs');
    await project.refused('USAGE', 2, 'create', 'x', '--sql', '--backfill');
    project.write('data/zebra.mjs', view);
    await project.refused('USAGE', 2, 'create', 'ape');
    expect(await fileOf('zoo')).to.equal('schema/zoo.mjs');
    expect(project.filesIn()).to.deep.equal(['data', 'umzug-backfill.config.mjs']);
  });
});
