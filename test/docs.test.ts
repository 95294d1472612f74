import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root } from './support/cli.js';
import { up } from './support/migrate.js';
import { on } from './support/on-store.js';
import { withGeneratedStore } from './support/stores.js';

// docs/maintainers/evidence.md names the tests of each guarantee: a renamed or removed one must not leave a guarantee without.

const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** A row's last column: files, each with the titles in it. */
function heldBy(cell: string): { readonly file: string; readonly titles: readonly string[] }[] {
  return cell.split(';').map((part) => {
    const [, file = '', titles = ''] = /^\s*`([^`]+)`(?:: (.*))?\s*$/.exec(part) ?? [];
    return { file, titles: titles === '' ? [] : titles.split(' · ').map((title) => title.trim()) };
  });
}

/** Rows of docs/maintainers/evidence.md: a guarantee, and the tests that hold it. */
const evidence = (): string[][] =>
  read('docs/maintainers/evidence.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && line !== '| guarantee | tests |')
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );

/** The guarantees of a page: the words in bold that start its list items. */
const guaranteesOf = (page: string): string[] =>
  [...read(page).matchAll(/^- \*\*(.+?)\.\*\*/gm)].map(([, title = '']) => title);

describe('docs/how-it-works.md', () => {
  it('walks from `up` to COMMIT as the calls go, in at most ten of them', () =>
    withGeneratedStore({ audits: 60 }, async (path) => {
      const walk = [...read('docs/how-it-works.md').matchAll(/^\d+\. `(\w+)` \(([^)]+)\)/gm)];
      const names = walk.map(([, name = '']) => name);
      expect(names).to.have.lengthOf.within(8, 10);
      for (const [, name = '', files = ''] of walk)
        for (const [, file = ''] of files.matchAll(/`([^`]+)`/g))
          expect(read(file), file).to.match(new RegExp(`async (?:function )?${name}\\b`));

      const { stackTraceLimit } = Error;
      let stack = '';
      Error.stackTraceLimit = 100;
      const onEvent = ({ event }: { readonly event: string }): void => {
        if (event === 'run_started') stack = new Error('here').stack ?? '';
      };
      await up(path, { onEvent, backup: false }).finally(() => {
        Error.stackTraceLimit = stackTraceLimit;
      });
      const called = [...stack.matchAll(/at (?:async )?(?:[\w.]+\.)?(\w+) \(/g)]
        .map(([, name]) => name)
        .reverse();
      const wanted = names.slice(0, names.indexOf('fillBatches') + 1);
      let at = -1;
      for (const name of wanted) {
        at = called.indexOf(name, at + 1);
        expect(at, `${name} among ${called.join(', ')}`).to.be.at.least(0);
      }
    }));
});

describe('docs/guarantees.md and docs/security.md', () => {
  it('have tests for every guarantee in docs/maintainers/evidence.md, in their order', () => {
    const rows = evidence();
    expect(rows.length).to.be.greaterThan(60);
    expect(rows.map(([guarantee]) => guarantee)).to.deep.equal(
      ['docs/guarantees.md', 'docs/security.md'].flatMap(guaranteesOf),
    );
    for (const cells of rows) {
      const [guarantee = '', cell = ''] = cells;
      const tests = heldBy(cell);
      expect(tests, guarantee).not.to.have.length(0);
      for (const { file, titles } of tests) {
        expect(existsSync(join(root, file)), `${guarantee}: ${file}`).to.equal(true);
        const source = read(file).replaceAll('\\`', '`');
        for (const title of titles) expect(source.includes(title), `${file}: ${title}`).to.equal(true);
      }
    }
  });

  it('are what SECURITY.md and the README point to', () => {
    for (const file of ['README.md', 'SECURITY.md'])
      for (const page of ['docs/guarantees.md', 'docs/security.md']) expect(read(file)).to.include(page);
  });
});

describe('package.json', () => {
  it('says whose the package is and where its source and its issues are, which SECURITY.md relies on', () => {
    const { author, repository, bugs, homepage } = JSON.parse(read('package.json'));
    expect(read('LICENSE')).to.include(author);
    expect(repository).to.deep.equal({ type: 'git', url: `git+${homepage.replace('#readme', '')}.git` });
    expect(bugs).to.equal(homepage.replace('#readme', '/issues'));
    expect(read('SECURITY.md')).to.include("`package.json`'s repository");
  });
});

describe('docs/scale.md', () => {
  it('names different files in its example of several', () => {
    const several = /^umzug-backfill up (--db-path .*--db-path .*)$/m.exec(read('docs/scale.md'))?.[1] ?? '';
    const paths = several
      .split('--db-path ')
      .slice(1)
      .map((path) => path.trim());
    expect(paths).to.have.length.above(1);
    expect(new Set(paths)).to.have.length(paths.length);
  });
});

describe('docs/operations.md', () => {
  /** Rows of the table whose first heading is `head`, as cells. */
  const tableOf = (head: string): string[][] => {
    const lines = read('docs/operations.md').split('\n');
    const from = lines.findIndex((line) => line.startsWith(`| ${head} |`));
    const to = lines.findIndex((line, i) => i > from && !line.startsWith('|'));
    return lines.slice(from + 2, to).map((line) => line.split('|').map((cell) => cell.trim()));
  };
  const namesIn = (cell = ''): string[] => [...cell.matchAll(/`(\w+)`/g)].map(([, name = '']) => name);

  const listed = () =>
    tableOf('event').flatMap(([, events, level]) => namesIn(events).map((name) => [name, level] as const));

  it('lists every event with its level', () => {
    // No command tells them all: the list is read where it stands.
    const [, list = ''] = /LEVEL_BY_EVENT.*?\{(.*?)\n\}/s.exec(read('src/cli/log.ts')) ?? [];
    const levels = [...list.matchAll(/^ {2}(\w+): '(\w+)',$/gm)].map(([, name, level]) => [name, level]);
    expect(Object.fromEntries(listed())).to.deep.equal(Object.fromEntries(levels));
    expect(levels).to.have.length.above(15);
  });

  it('lists every metric, and the events of a command as it logs them', () =>
    withGeneratedStore({ audits: 100 }, async (path) => {
      const file = join(dirname(path), 'backfill.prom');
      const { stderr } = await on(path).run(['up', '--metrics-file', file, '--log-level', 'debug']);
      const levels = new Map<string | undefined, string | undefined>(listed());
      const lines = stderr.trim().split('\n');
      expect(lines).to.have.length.above(5);
      for (const { event, level } of lines.map((line) => JSON.parse(line)))
        expect(levels.get(event), event).to.equal({ 20: 'debug', 30: 'info', 40: 'warn' }[level as 20]);
      const written = [...readFileSync(file, 'utf8').matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
      expect(tableOf('metric').flatMap(([, metric]) => namesIn(metric))).to.have.members(written);
    }));
});

describe('links in the documentation', () => {
  const pages = [
    'README.md',
    'SECURITY.md',
    'CHANGELOG.md',
    'examples/README.md',
    'examples/adopt/README.md',
    'examples/adopt-sequelize/README.md',
    'examples/agentos/README.md',
    'examples/sequelize-sqlite/README.md',
    'bench/NOTES.md',
  ].concat(
    ['docs', 'docs/maintainers'].flatMap((folder) =>
      readdirSync(join(root, folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => `${folder}/${name}`),
    ),
  );
  /** The anchors that GitHub gives the headings of a page. */
  const anchorsOf = (page: string): string[] =>
    [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );

  for (const page of pages) {
    it(`${page}: each leads somewhere`, () => {
      for (const [, target = ''] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [file = '', anchor] = target.split('#');
        const path = file === '' ? page : join(dirname(page), file);
        expect(existsSync(join(root, path)), target).to.equal(true);
        if (anchor !== undefined) expect(anchorsOf(path), target).to.include(anchor);
      }
    });
  }
});
