import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root, runCli } from './support/cli.js';

// The tables of commands and options say what `--help` says.

/** Cells of the tables of a page under a heading. */
function rowsUnder(page: string, heading: RegExp): string[][] {
  const sections = readFileSync(join(root, page), 'utf8').split(/^## /m);
  return sections
    .filter((section) => heading.test(section.split('\n')[0] ?? ''))
    .flatMap((section) => section.split('\n'))
    .filter((line) => /^\| `/.test(line))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
}

const namesIn = (cell = ''): string[] => [...cell.matchAll(/`([a-z]+)[^`]*`/g)].map(([, name = '']) => name);
const flagsIn = (cell = ''): string[] => [...cell.matchAll(/`(--[a-z-]+)/g)].map(([, flag = '']) => flag);

/** Flags that the help of a command lists, without `--help`. */
async function flagsOf(command: string): Promise<string[]> {
  const { stdout } = await runCli([command, '--help']);
  return [...stdout.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag = '']) => flag);
}

describe('the tables of commands and options', () => {
  const commands = async (): Promise<string[]> => {
    const [, list = ''] = /^Commands:\n(.*?)\n\n/ms.exec((await runCli(['--help'])).stdout) ?? [];
    return [...list.matchAll(/^ {2}([a-z]+)/gm)]
      .map(([, name = '']) => name)
      .filter((name) => name !== 'help');
  };

  for (const page of ['README.md', 'docs/cli.md'])
    it(`${page}: lists the commands`, async () => {
      const listed = rowsUnder(page, /^Commands$/).flatMap(([, cell]) => namesIn(cell));
      expect(listed).to.have.members(await commands());
    });

  it('docs/cli.md: lists the options, and no other', async () => {
    const all = new Set<string>();
    for (const command of await commands()) for (const flag of await flagsOf(command)) all.add(flag);
    const listed = rowsUnder('docs/cli.md', /^Options/).flatMap(([, cell]) => flagsIn(cell));
    expect(new Set(listed)).to.deep.equal(all);
  });

  it('docs/cli.md: names the commands that have an option', async () => {
    const rows = rowsUnder('docs/cli.md', /^Options of commands$/);
    expect(rows).to.have.length.above(5);
    const of = new Map<string, string[]>();
    for (const command of await commands())
      for (const flag of await flagsOf(command)) of.set(flag, [...(of.get(flag) ?? []), command]);
    const named = new Map<string, string[]>(); // an option with several meanings has several rows
    for (const [, flags, names] of rows)
      for (const flag of flagsIn(flags)) named.set(flag, [...(named.get(flag) ?? []), ...namesIn(names)]);
    for (const [flag, names] of named) expect(names, flag).to.have.members(of.get(flag) ?? []);
  });

  it('docs/cli.md: names the commands that have the options of a store', async () => {
    const flags = rowsUnder('docs/cli.md', /^Options of every command on a store$/).flatMap(([, cell]) =>
      flagsIn(cell),
    );
    const rows = rowsUnder('docs/cli.md', /^Commands$/).filter(
      ([, , , store]) => store !== 'no store needed',
    );
    const names = rows.flatMap(([, cell]) => namesIn(cell));
    expect(names).to.have.length.above(8);
    for (const name of names) expect(await flagsOf(name), name).to.include.members(flags);
  });
});
