import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root } from './support/cli.js';
import { said, toldOf } from './support/said.js';
import { pairsIn, type SourceText, textsIn } from './support/source-texts.js';

/** A hole of a text of the catalog. */
const HOLE = /\{([#~*]?)(\w+)\}/g;

/** A text of the catalog as {@link textsIn} gives those of the sources. */
const withoutNames = (text: string): string => text.replace(HOLE, '{}');

const holesOf = (text: string): string[] =>
  [...new Set([...text.matchAll(HOLE)].map(([, , name = '']) => name))].sort();

// The texts of the sources that a person is told are found by what is left out: a new sentence, wherever it stands, is one of
// them until it has a translation, or is named here.

/**
 * Files of which no text is told by the command line: SQL, HTML and help are English, as is what the testing kit tells, which a test runner
 * prints.
 */
const OTHER_FILES =
  /^src\/(?:messages\/|option-table|command-options|report\/(?:document|style)\.ts|scaffold\/(?:templates|numbering)|format\.ts|engine\/sqlite\/print-sql\.ts|engine\/inspect\.ts|ledger\/tables\.ts|testing\/)/;

/** Calls and constants whose texts are not told: help, metrics, statements, names of moments, defects of this program. */
const OTHER_CALLS =
  /^(?:description|option|addHelpText|Option|argument|sequence|hasSequence|indexOfSequence|isIn|HELP|METRICS_FILE|metricLines|failpoint|exec|all|allExact|get|pluck|RangeError|RegExp|script|writeFileSync|shellWord|program|storeFlag|backups|\w+Command|barText|remember|sessionName|instantSql|SESSION_SETTINGS|KNOWN|PostgresError|endsWith|OBJECTS|REJECTED_SQL)$/;

/** Parts of statements and of commands. */
const SQL =
  /\b(?:SELECT (?!1 FROM sqlite_schema)|INSERT|DELETE FROM|CREATE|ALTER TABLE|DROP (?:TABLE|INDEX|COLUMN|TRIGGER|SEQUENCE)|DECLARE \{|FETCH \{|CLOSE \{|SET LOCAL|split_part\(|pg_has_role\(|rolsuper|^REVOKE \{\}|^NOT \(?\{\}|^MATERIALIZED VIEW$|^FOREIGN TABLE$|^DROP \{\}|regtype\b|search_path(?: = \{\})?$|^pg_catalog, |WHEN \{|^ON CONFLICT |Infinity\||s\.backfill|WHERE|VALUES|JOIN|CASE|CAST|COLLATE|GLOB|AS|IS NOT NULL|IS NULL|PRIMARY KEY|BEGIN|AND \{|INDEX(?:ED BY)? \{|ORDER BY|QUERY PLAN|AT TIME ZONE|UPDATE (?:OR ABORT )?\{|BETWEEN (?:\?|r\.)|EXISTS \(|AND \(\{)/;
const MARKUP = /<\w+[ >]/;
const COMMAND =
  /^(?:sudo \{\} |(?:sudo )?ch(?:own|mod) |psql STORE -c |--database-url postgres:|npx umzug-backfill$|npm (?:run|exec|install) |umzug-backfill [a-z]+(?: \{\})?(?: --[\w-]+)*$)/;

/** Texts that are told to nobody, or only within others. */
const EXCEPTIONS: ReadonlySet<string> = new Set([
  'any word', // a sample for options
  '{} (default: {})', // help
  'plot narrow', // a class of CSS
  'plot wide',
  '{}… ({} characters)', // a value of the store, as the name of a group in JSON
  '{} at {}', // the class of an error and the place of it
  'caused by ', // with --log-level debug or --show-values: for a developer, as the stack below it
  '    at {}:{}',
  'no such column', // looked for in SQLite's words
  'NOT readable', // SQL
  'FOR UPDATE SKIP LOCKED',
  '{} ON {}',
  'character varying', // a type of PostgreSQL's
  'bit varying',
  'double precision',
  'failure, wanted, {}, ignored DEFAULT 0, refusal',
  'others, ours',
  'Index Name', // looked for in PostgreSQL's plans
  'The thread of the backfills has ended', // a defect: its kind is told, not its words
  'A message of the server has no end', // the cause of an error, told by its code
  'The store rejected an update ({})', // for a debugger: the row is recorded with the code
  '<!doctype html>\n<!-- A report of umzug-backfill -->\n',
]);

/** What SQLite names an object in its way, each with or without its name. */
const FROM_SQLITE = ['view', 'trigger', 'index', 'table'].flatMap((kind) => [kind, `${kind} {}`]);

/** Kinds of objects that only statements on the catalog of PostgreSQL name. */
const FROM_POSTGRES = ['rule', 'constraint', 'policy', 'function', 'statistics', 'publication'];

/** States of a step that only statements of SQL write. */
const FROM_LEDGER = ['applying'];

const IS_SENTENCE = /[A-Za-z]{2,}[,;:]? [A-Za-z{(]|\} [a-z]{2,}/;

/** The sentence in which a text is told: itself, or with what is put around it. */
function sentenceOf({ text, within }: SourceText): string {
  if (within.includes('toBackfillError') || within.includes('fromPostgres'))
    return text.replace(/^(.+)\{\} \(\{\}\)$/, '$1');
  return text;
}

function isTold({ text, at, within }: SourceText): boolean {
  if (OTHER_FILES.test(at) || EXCEPTIONS.has(text)) return false;
  if (within.at(-1) === 'translate') return /[A-Za-z]/.test(text.replaceAll('{}', ''));
  return (
    IS_SENTENCE.test(text) &&
    !SQL.test(text) &&
    !MARKUP.test(text) &&
    !COMMAND.test(text) &&
    !within.some((name) => OTHER_CALLS.test(name))
  );
}

/** A pattern of what a text of the catalog may be when it is told. */
const patternOf = (text: string): RegExp => {
  const parts = withoutNames(text).split('{}');
  return new RegExp(`^${parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('.*')}$`, 's');
};

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
  const texts = textsIn('src').map((found) => ({ ...found, text: withoutNames(found.text) }));
  /** The catalog, by the English text. */
  const zh = new Map(pairsIn('src/messages'));
  const sentences = new Set([
    ...texts.filter(({ at }) => !at.startsWith('src/messages/')).map(sentenceOf),
    ...FROM_SQLITE,
    ...FROM_POSTGRES,
    ...FROM_LEDGER,
  ]);
  const keys = new Set([...zh.keys()].map(withoutNames));
  const hasWords = (text: string): boolean =>
    keys.has(text) || keys.has(text.charAt(0).toUpperCase() + text.slice(1));

  it('are there for every text that the sources tell a person', () => {
    const found = texts.filter(isTold);
    expect(found.length).to.be.above(350);
    const missing = found.filter((text) => !hasWords(sentenceOf(text)));
    expect(missing.map((text) => `${text.at} ${sentenceOf(text)}`)).to.deep.equal([]);
  });

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
    const sources = texts.filter(({ at, text }) => !at.startsWith('src/messages/') && IS_SENTENCE.test(text));
    const isOfCheck = ({ at, within, text }: SourceText): boolean =>
      at.startsWith('src/verify/') && within.includes('msg') && text.length > 8;
    const found = sources.filter(isOfCheck);
    expect(found.length).to.be.above(45);
    const again = found.filter(({ text }) => sources.filter((other) => other.text === text).length > 1);
    expect(again.map(({ at, text }) => `${at} ${text}`)).to.deep.equal([]);
  });

  it('are there for nothing that is told nowhere', async () => {
    const wrongCalls = await Promise.all(WRONG_CALLS.map((args) => toldOf(args)));
    const messages = wrongCalls.map((text) => /^USAGE: (.*)\.\n/.exec(text)?.[1] ?? '');
    const dead = [...zh.keys()].filter(
      (key) => !sentences.has(withoutNames(key)) && !messages.some((message) => patternOf(key).test(message)),
    );
    expect(zh.size).to.be.above(700);
    expect(dead).to.deep.equal([]);
  });

  it('have the holes of the English text', () => {
    for (const [text, translation] of zh) {
      expect(holesOf(translation), text).to.deep.equal(holesOf(text));
      expect(translation, 'marks of a hole stand in the English text').not.to.match(/\{[#~*]/);
    }
  });

  it('are found for what has them, and not those of a text that is like it', async () => {
    const filled = (text: string, form: string): string => {
      const values = new Map(
        [...text.matchAll(HOLE)].map(([, kind, name = ''], i) => [
          name,
          kind === '#' ? `1${i},000.5` : `v${i}`,
        ]),
      );
      return form.replace(HOLE, (_, __, name: string) => values.get(name) ?? '');
    };
    const pairs = await Promise.all(
      [...zh].map(async ([text, translation]) => {
        const expected = filled(text, translation);
        return { text, expected, told: await said(filled(text, text)) };
      }),
    );
    for (const { text, expected, told } of pairs) expect(told, text).to.equal(expected);
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
