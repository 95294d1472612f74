import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root } from './support/cli.js';
import { toldOf } from './support/said.js';
import { pairsIn, type SourceText, textsIn } from './support/source-texts.js';

/** Names of the placeholders of a text. */
const placeholdersOf = (text: string): string[] =>
  [...new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name))].sort();

/** Kinds of objects that only the catalogs of PostgreSQL name. */
const FROM_POSTGRES = ['function', 'rule', 'constraint', 'policy', 'statistics', 'publication'];

/** A text of several words. */
const IS_SENTENCE = /[A-Za-z]{2,}[,;:]? [A-Za-z{(]|\} [a-z]{2,}/;

/** Wrong calls, for every sentence that commander has of one, and that this program makes of it. */
const WRONG_CALLS: readonly (readonly string[])[] = [
  [],
  ['frobnicate'],
  ['stats'],
  ['epo'],
  ['up', '--lon'],
  ['up', '--frobnicate'],
  ['up', '--stric'],
  ['up', '--log-leve', 'x'],
  ['up', '--st'],
  ['up', '--to'],
  ['up', '--to', 'a', '--dry-run', '--report'],
  ['down', '--to', 'a', '--step', '1'],
  ['up', 'a'],
  ['skips', 'a', 'b'],
  ['up', '--batch-size', '0'],
  ['up', '--lock-timeout', 'x'],
  ['verify', '--min-coverage', '101'],
  ['up', '--log-level', 'loud'],
];

describe('the words of Simplified Chinese', () => {
  const texts = textsIn('src').filter(({ at }) => !at.startsWith('src/messages/'));
  /** The catalogue, by the English text. */
  const zh = new Map(pairsIn('src/messages'));

  it('are there for each message of a program, or it does not compile', () => {
    const compiled = (body: string): string => {
      const file = join(root, 'dist', 'test', 'message-sample.ts');
      writeFileSync(
        file,
        `import { msg } from '../../src/messages/message.js';\nexport const told = ${body};\n`,
      );
      const { stdout } = spawnSync(
        join(root, 'node_modules/.bin/tsc'),
        [
          '--ignoreConfig',
          '--noEmit',
          '--pretty',
          'false',
          '--strict',
          '--module',
          'nodenext',
          '--target',
          'es2023',
          '--skipLibCheck',
          file,
        ],
        { encoding: 'utf8' },
      );
      rmSync(file);
      return stdout;
    };
    expect(compiled("msg('The disk is full')")).to.equal('');
    expect(compiled("msg('Two step files are named {name}', { name: '1' })")).to.equal('');
    expect(compiled("msg('The disk is full of cats')")).to.match(/^dist.* error TS/);
    expect(compiled("msg('Two step files are named {name}', {})")).to.include("'name' is missing");
    expect(compiled("msg('The disk is full', { name: '1' })")).to.include('Expected 1 arguments');
  });

  it('are those of one sentence where it is of a check: the sources have it once', () => {
    const sources = texts.filter(({ text }) => IS_SENTENCE.test(text));
    const isOfCheck = ({ at, within, text }: SourceText): boolean =>
      at.startsWith('src/verify/') && within.includes('msg') && text.length > 8;
    const found = sources.filter(isOfCheck);
    expect(found.length).to.be.above(45);
    const again = found.filter(({ text }) => sources.filter((other) => other.text === text).length > 1);
    expect(again.map(({ at, text }) => `${at} ${text}`)).to.deep.equal([]);
  });

  it('are there for nothing that is told nowhere', () => {
    const told = new Set([...texts.map(({ text }) => text), ...FROM_POSTGRES]);
    expect(zh.size).to.be.above(700);
    expect([...zh.keys()].filter((text) => !told.has(text))).to.deep.equal([]);
  });

  it('have the placeholders of the English text', () => {
    for (const [text, translation] of zh)
      expect(placeholdersOf(translation), text).to.deep.equal(placeholdersOf(text));
  });

  it('are Chinese, and keep code, options and commands as they are', () => {
    for (const [text, translation] of zh) {
      expect(translation, text).to.match(/[\p{Script=Han}。：、‹（{]/u);
      for (const [kept] of text.matchAll(
        /`[^`{]+`|(?<= )--[a-z][\w-]*|umzug-backfill(?: [a-z]+)?|\b[A-Z]{2,}[A-Z_.a-z-]*\b/g,
      ))
        expect(translation, text).to.include(kept.replace(/^NULLs$/, 'NULL'));
    }
  });

  it('say what is told of a wrong call', async () => {
    for (const args of WRONG_CALLS) {
      const said = await toldOf([...args, '--lang', 'zh']);
      expect(said, args.join(' ')).to.match(
        /^USAGE: .*\p{Script=Han}.*。\n {2}→ 请运行 umzug-backfill --help ，或在命令后加 --help\n$/u,
      );
      expect(said.replace(/--help|umzug-backfill|--[\w-]+ <\w+>/g, '')).not.to.match(/[a-z]+ [a-z]+ [a-z]+/);
    }
  });
});
