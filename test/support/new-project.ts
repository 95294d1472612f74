import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { beforeEach } from 'mocha';
import { type CliResult, expectRefusal, runCli, useFolder } from './cli.js';
import { linkModules } from './link-package.js';

/** An empty folder for each test of the enclosing `describe`, in which this package is installed. */
export function useNewProject() {
  const folder = useFolder();
  let count = 0;
  let path = '';
  beforeEach(() => {
    count += 1;
    path = folder.file(`project-${count}`);
    linkModules(path);
  });
  const cli = (...args: readonly string[]): Promise<CliResult> => runCli(args, { cwd: path });
  /** Writes a file; its folder is made. */
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  };
  return {
    get path() {
      return path;
    },
    /** Runs a command there, whatever it ends with. */
    cli,
    /** Runs one that must end with 0. */
    async run(...args: readonly string[]) {
      const result = await cli(...args);
      expect(result.code, `${args.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
      return result;
    },
    /** Runs one that must be refused. */
    refused: async (code: string, exit: number, ...args: readonly string[]) =>
      expectRefusal(await cli(...args), code, exit),
    write,
    /** Declares the project, with steps in `steps/`: by their names the calls that define them. The store is named by each command. */
    declare(steps: Readonly<Record<string, string>>) {
      write('package.json', '{"type":"module"}');
      write(
        'umzug-backfill.config.mjs',
        `import { defineConfig } from 'umzug-backfill';
        export default defineConfig({ database: { path: 'none.db' }, steps: ['steps'] });`,
      );
      for (const [name, call] of Object.entries(steps))
        write(
          `steps/${name}.mjs`,
          `import { defineBackfill, defineSchemaStep, defineSqlStep, sql } from 'umzug-backfill'; export default ${call};`,
        );
    },
    read: (name: string) => readFileSync(join(path, name), 'utf8'),
    /** Names of the files in a folder of it, without the packages. */
    filesIn: (name = '.') => readdirSync(join(path, name)).filter((file) => file !== 'node_modules'),
  };
}
