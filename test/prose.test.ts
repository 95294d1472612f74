import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root, useFolder } from './support/cli.js';

/** Runs scripts/prose.js; returns its exit code and, for each place that it prints, the line and the rule. */
function prose(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts/prose.js'), ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(stderr).to.equal('');
  const places = [...stdout.matchAll(/:(\d+): ".*": rule (\d+), write ./g)].map(
    ([, line, rule]) => `${line}: ${rule}`,
  );
  return { status, places, stdout };
}

/** Sentences that a rule does not allow. */
const BAD: readonly (readonly [rule: number, sentence: string])[] = [
  [4, 'Of a file the lock is a lock of SQLite.'],
  [4, 'It keeps what of a run is left.'],
  [5, 'The path is to be absolute.'],
  [6, 'Best end the programs that write first.'],
  [7, 'It runs while nobody writes.'],
  [7, 'It waits for its rival.'],
  [7, 'It waits while others write.'],
  [8, 'The backup is put beside the store.'],
  [8, 'Rows\nbehind the watermark are left.'],
  [8, 'The next run goes on there.'],
  [8, 'The file is not used any more.'],
  [9, 'A value that stands is kept.'],
  [9, 'The error tells its key.'],
  [10, 'It runs on a thread of its own.'],
  [11, 'A text is no number.'],
  [11, 'The row can not be read.'],
  [11, 'It is skipped, since it has no value.'],
  [11, 'A version (as `3.35`) is a word.'],
  [12, 'It reads 500 rows a second.'],
  [12, 'It makes at most ten.'],
  [15, 'The command mends it.'],
  [15, 'Look at the plan.'],
  [15, 'It takes all of it back.'],
  [16, '## Where is it?'],
];

const GOOD = [
  'There is no lock, and it is no longer needed.',
  'The replica lags behind, and is 10 s behind the primary.',
  'Nothing has changed since the last run, since version 3, or since it began.',
  'It may be another, as `verify` reports, as well as this.',
  'The code is `nobody stands beside it`.',
  '```sh\nmend --it\n```',
  'Of course, 3 files, of which two are free, stand for it.',
  '## Reversibility',
];

describe('scripts/prose.js', () => {
  const folder = useFolder();
  const write = (name: string, text: string): string => {
    writeFileSync(folder.file(name), text);
    return folder.file(name);
  };

  it('finds what each rule is about, at its line', () => {
    const page = write('bad.md', BAD.map(([, sentence]) => sentence).join('\n\n'));
    const { status, stdout } = prose(page);
    expect(status).to.equal(1);
    let line = 1;
    for (const [rule, sentence] of BAD) {
      const last = line + sentence.split('\n').length - 1;
      const found = new RegExp(`:(?:${line}|${last}): ".*": rule ${rule}, write `);
      expect(stdout, sentence).to.match(found);
      line = last + 2;
    }
  });

  it('takes what only looks like it', () => {
    const page = write('good.md', GOOD.join('\n\n'));
    expect(prose(page)).to.deep.include({ status: 0, places: [] });
  });

  it('finds nothing in the documentation', () => {
    const pages = [
      'docs',
      'examples',
      'bench/NOTES.md',
      'bench/RESULTS.md',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
    ];
    const { status, stdout } = prose('--docs', ...pages.map((page) => join(root, page)));
    expect(stdout).to.equal('');
    expect(status).to.equal(0);
  });

  it('finds nothing in the sources: messages, docstrings and comments', () => {
    const { status, stdout } = prose('--code', join(root, 'src'));
    expect(stdout).to.equal('');
    expect(status).to.equal(0);
  });

  it('reads messages of sources, and their docstrings with --code', () => {
    const source = write(
      'source.ts',
      [
        '/** What it holds. */',
        'export function size(): number { return 1; }',
        '/** Whether it is full. */',
        'export function isFull(): boolean { return true; }',
        '/** Returns the size of {@link size}, beside `beside`. */',
        'export const twice = (): number => 2;',
        'export const message = `The row can not be read`;',
        "export const hint = 'Give another path';",
        "export const statement = 'SELECT nobody FROM t WHERE stands';",
      ].join('\n'),
    );
    expect(prose(source).places).to.deep.equal(['7: 11', '8: 15']);
    expect(prose(source, '--code').places).to.deep.equal(['1: 1', '5: 8', '7: 11', '8: 15']);
    expect(prose(source, '--docs').places).to.deep.equal([]);
  });
});
