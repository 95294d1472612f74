import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { beforeEach } from 'mocha';
import { type CliResult, type ErrorJson, expectRefusal, root, runCli, useFolder } from './cli.js';

/** An empty folder for each test of the enclosing `describe`, in which this package is installed. */
export interface NewProject {
  readonly path: string;
  /** Runs a command there, whatever it ends with. */
  readonly cli: (...args: readonly string[]) => Promise<CliResult>;
  /** Runs one that must end with 0. */
  readonly run: (...args: readonly string[]) => Promise<CliResult>;
  /** Runs one that must be refused. */
  readonly refused: (code: string, exit: number, ...args: readonly string[]) => Promise<ErrorJson>;
  /** Writes a file; its folder is made. */
  readonly write: (name: string, text: string) => void;
  readonly read: (name: string) => string;
  /** Names of the files in a folder of it, without the packages. */
  readonly filesIn: (name?: string) => string[];
}

/** Makes a new project before each test of the enclosing `describe`. */
export function useNewProject(): NewProject {
  const folder = useFolder();
  let count = 0;
  let path = '';
  beforeEach(() => {
    count += 1;
    path = folder.file(`project-${count}`);
    mkdirSync(join(path, 'node_modules'), { recursive: true });
    symlinkSync(root, join(path, 'node_modules/umzug-backfill'));
  });
  const cli = (...args: readonly string[]): Promise<CliResult> => runCli(args, { cwd: path });
  return {
    get path() {
      return path;
    },
    cli,
    async run(...args) {
      const result = await cli(...args);
      expect(result.code, `${args.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
      return result;
    },
    refused: async (code, exit, ...args) => expectRefusal(await cli(...args), code, exit),
    write(name, text) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), text);
    },
    read: (name) => readFileSync(join(path, name), 'utf8'),
    filesIn: (name = '.') => readdirSync(join(path, name)).filter((file) => file !== 'node_modules'),
  };
}
