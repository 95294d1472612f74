import { readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from '@babel/parser';
import { globSync } from 'tinyglobby';
import { ALLOWED, RULES } from './prose-rules.js';

// Finds prose that the project does not use, in its pages and in the messages of its sources:
//
//   node scripts/prose.js [FILE | FOLDER]… [--docs] [--code]
//
// --docs leaves the sources out; --code also reads their docstrings and comments. Without a file: all of them. Code in backticks and
// in fences is not read. Prints `FILE:LINE: "…": rule N, write …`, and exits with 1 if there is anything to print.

const root = fileURLToPath(new URL('../', import.meta.url));
const options = process.argv.slice(2).filter((word) => word.startsWith('--'));
const paths = process.argv.slice(2).filter((word) => !word.startsWith('--'));

/** Pages that are not prose of their own: made of docstrings, of messages, of test titles. */
const GENERATED = [
  'docs/api.md',
  'docs/screens.md',
  'docs/example-output.md',
  'docs/maintainers/evidence.md',
];
/** Sources without messages in English that are not in another file. */
const TRANSLATIONS = /\bzh\b/;
const SQL = /\b(?:SELECT|FROM|WHERE|CREATE|INSERT|UPDATE|DELETE|ORDER BY|CASE WHEN|ALTER|DROP) /;

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'docs/**/*.md',
  'examples/**/*.md',
];
const expand = (path) =>
  statSync(path).isDirectory()
    ? globSync(['**/*.md', '**/*.ts'], { cwd: path, absolute: true }).filter(
        (file) => !GENERATED.includes(relative(root, file)),
      )
    : [resolve(path)];
const files =
  paths.length > 0
    ? paths.flatMap(expand)
    : globSync([...pages, 'src/**/*.ts'], { cwd: root, ignore: ['**/node_modules/**', ...GENERATED] }).map(
        (file) => join(root, file),
      );

const blank = (text) => text.replace(/[^\s]/g, '·');

/** Text of a page with its code blanked, and its headings. */
function readPage(source) {
  const text = source
    .replace(/^(?: {4}|\t)?(```|~~~)[\s\S]*?^\s*\1/gm, blank)
    .replace(/<!--[\s\S]*?-->|<[^>\n]+>/g, blank)
    .replace(/(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)/g, (code) => `\`${blank(code.slice(1, -1))}\``)
    .replace(/\]\([^)]*\)/g, blank)
    .replace(/^([ \t]*(?:[-*+]|\d+\.)[ \t]|>[ \t]?)/gm, (mark) => `.${' '.repeat(mark.length - 1)}`)
    .replace(/\*\*|\[|\]·/g, (mark) => ' '.repeat(mark.length));
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map((match) => ({
    kinds: ['heading'],
    text: match[1],
    at: match.index + match[0].length - match[1].length,
  }));
  // A cell of a table, a list item, a paragraph: the start of each is the start of a sentence.
  const body = text.replace(/^#+ .*$/gm, (line) => ' '.repeat(line.length)).replace(/\| /g, '. ');
  const blocks = [...body.matchAll(/(?:(?!\n[ \t]*\n)[\s\S])+/g)];
  return [...headings, ...blocks.map((match) => ({ kinds: ['page'], text: match[0], at: match.index }))];
}

/** Messages of a source, and with --code its docstrings and comments. */
function readSource(source) {
  const found = [];
  const tree = parse(source, { sourceType: 'module', plugins: ['typescript'] });
  const seen = new Set();
  const comment = ({ type, value, start }, kinds) => {
    if (seen.has(start)) return;
    seen.add(start);
    const isDoc = type === 'CommentBlock' && value.startsWith('*');
    const text = ` ${value.replace(/^(\s*)\*+/gm, (mark) => ' '.repeat(mark.length))}`;
    // Tags and examples in docstrings begin sentences of their own.
    const [body] = text.split(/^\s*@example\b/m);
    const prose = body
      .replace(/\{@link ([^}]*)\}|`[^`]*`/g, (code) => `\`${blank(code.slice(1, -1))}\``)
      .replace(
        /@(?:param\s+\S+|returns|throws\s+\{\w+\}(?:\s+`[^`]*`)?)/g,
        (tag) => `.${' '.repeat(tag.length - 1)}`,
      );
    found.push({ kinds: isDoc ? kinds : ['comment'], text: prose, at: start + 1 });
  };
  const visit = (node) => {
    if (Array.isArray(node)) for (const part of node) visit(part);
    if (typeof node?.type !== 'string') return;
    for (const each of node.leadingComments ?? [])
      if (each === node.leadingComments.at(-1)) comment(each, kindsOf(node));
    const text = source.slice(node.start, node.end);
    if (node.type === 'ImportDeclaration' || (node.type.startsWith('Export') && node.source)) return;
    if (node.type === 'StringLiteral')
      found.push({ kinds: ['message'], text: ` ${text.slice(1, -1)}`, at: node.start });
    if (node.type === 'TemplateLiteral') {
      const holes = node.expressions.map(({ start, end }) => [start - node.start, end - node.start]);
      let whole = text;
      for (const [from, to] of holes)
        whole = whole.slice(0, from) + blank(whole.slice(from, to)).replace(/\s/g, '·') + whole.slice(to);
      found.push({ kinds: ['message'], text: ` ${whole.slice(1, -1)}`, at: node.start });
    }
    for (const [field, part] of Object.entries(node)) if (!/^loc$|omments$/.test(field)) visit(part);
  };
  visit(tree.program);
  const messages = found
    .filter(
      ({ kinds, text }) => kinds[0] === 'message' && /[a-z]{2} |^ [A-Z][a-z]+ /.test(text) && !SQL.test(text),
    )
    .map(({ text, at }) => {
      const plain = text
        .replace(/\\?`[^`]*`/g, (code) => `\`${blank(code.slice(1, -1))}\``)
        .replace(/\\n/g, '\n ');
      return { kinds: ['message', 'hint'], text: plain, at };
    });
  if (!options.includes('--code')) return messages;
  for (const each of tree.comments) comment(each, ['comment']);
  return [...messages, ...found.filter(({ kinds }) => kinds[0] !== 'message')];
}

/** Kinds of a docstring, by what it documents. */
function kindsOf(node) {
  const declared = node.type.startsWith('Export') ? (node.declaration ?? node) : node;
  const value = declared?.declarations?.[0]?.init ?? declared;
  const isFunction = /Function|ClassMethod|ClassPrivateMethod|TSDeclareMethod|TSMethodSignature/.test(
    value?.type ?? '',
  );
  if (isFunction) {
    const type = value.returnType?.typeAnnotation ?? value.typeAnnotation?.typeAnnotation;
    const inner =
      type?.typeName?.name === 'Promise' ? (type.typeArguments ?? type.typeParameters)?.params?.[0] : type;
    return inner?.type === 'TSBooleanKeyword' || inner?.type === 'TSTypePredicate'
      ? ['comment', 'function']
      : ['comment', 'function', 'function not of a boolean'];
  }
  return [
    'comment',
    /^TS|Class|Property|VariableDeclaration/.test(declared?.type ?? '') ? 'declaration' : 'other',
  ];
}

const isAllowed = (text, from, to) =>
  ALLOWED.some(({ phrase }) => {
    const start = Math.max(0, from - phrase.length);
    const near = text
      .slice(start, to + phrase.length)
      .replace(/\s+/g, ' ')
      .toLowerCase();
    return near.includes(phrase.toLowerCase());
  });

const failures = [];
for (const file of files) {
  const source = readFileSync(file, 'utf8');
  const name = relative(process.cwd(), file);
  const isPage = file.endsWith('.md');
  if (!isPage && (options.includes('--docs') || TRANSLATIONS.test(relative(root, file)))) continue;
  for (const { kinds, text, at } of isPage ? readPage(source) : readSource(source))
    for (const { rule, pattern, write, only } of RULES) {
      if (only !== undefined && !kinds.includes(only)) continue;
      const isFirst = only !== undefined && pattern.source.startsWith('^');
      for (const match of isFirst ? text.trimStart().matchAll(pattern) : text.matchAll(pattern)) {
        const shift = isFirst ? text.length - text.trimStart().length : 0;
        const from = match.index + shift;
        if ((isFirst && match.index > 0) || isAllowed(text, from, from + match[0].length)) continue;
        const line = source.slice(0, at + from + /^\W*/.exec(match[0])[0].length).split('\n').length;
        const around = text
          .slice(Math.max(0, from - 25), from + match[0].length + 25)
          .replace(/\s+/g, ' ')
          .trim();
        failures.push({ name, line, text: `${name}:${line}: "${around}": rule ${rule}, write ${write}` });
      }
    }
}
failures.sort((a, b) => (a.name === b.name ? a.line - b.line : a.name < b.name ? -1 : 1));
for (const { text } of failures) console.log(text);
if (failures.length > 0) {
  console.log(`${failures.length} places`);
  process.exitCode = 1;
}
