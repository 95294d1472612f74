import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from '@babel/parser';
import { root } from './cli.js';
import { manifest } from './package.js';

// Reads the declarations that users get, with their docstrings: dist/types, as the last build has left it.

// biome-ignore lint/suspicious/noExplicitAny: a syntax tree, of which each function says what it expects
type Node = any;

type Kind = 'function' | 'class' | 'interface' | 'type';
const KINDS: Readonly<Record<string, Kind>> = {
  TSDeclareFunction: 'function',
  ClassDeclaration: 'class',
  TSInterfaceDeclaration: 'interface',
  TSTypeAliasDeclaration: 'type',
};

/** Every entry that has declarations. */
export function readEntries() {
  return Object.entries(manifest.exports).flatMap(([path, target]) =>
    typeof target === 'string'
      ? []
      : [readEntry(path.replace('.', 'umzug-backfill'), readFileSync(join(root, target.types), 'utf8'))],
  );
}

/** What one entry gives, and in `others` what that is made of; `module` is as it is imported. */
function readEntry(module: string, source: string) {
  const { body } = parse(source, { sourceType: 'module', plugins: [['typescript', { dts: true }]] }).program;
  const exported = new Set(
    body.flatMap((node: Node) =>
      node.type === 'ExportNamedDeclaration' ? node.specifiers.map((each: Node) => each.exported.name) : [],
    ),
  );
  const all = body.flatMap((node: Node) => {
    const kind = KINDS[node.type];
    return kind === undefined ? [] : [readDeclaration(node, kind, source)];
  });
  return {
    module,
    exported: all.filter(({ name }) => exported.has(name)),
    others: all.filter(({ name }) => !exported.has(name)),
  };
}

/** A function, class, interface or type; `code` is without docstrings, `parents` are names of what it extends. */
function readDeclaration(node: Node, kind: Kind, source: string) {
  const body: Node[] = kind === 'interface' ? node.body.body : kind === 'class' ? node.body.body : [];
  const parents = [...(node.extends ?? []), ...(node.superClass ? [{ expression: node.superClass }] : [])];
  return {
    name: String(node.id.name),
    kind,
    code: codeOf(node, source),
    doc: docOf(node),
    members: body.map((member) => readMember(member, source)),
    parents: parents.map(({ expression }) => codeOf(expression, source)),
  };
}

/** A member of an interface or a class. */
function readMember(node: Node, source: string) {
  const isMethod = !node.typeAnnotation || node.type === 'TSMethodSignature';
  const code = codeOf(node, source).replace(/;$/, '');
  const name = String(node.key?.name ?? node.kind ?? 'constructor');
  return {
    name,
    isOptional: node.optional === true,
    type: oneLine(isMethod ? code : codeOf(node.typeAnnotation.typeAnnotation, source)),
    doc: docOf(node),
  };
}

/** The source of a node, without the docstrings in it. */
const codeOf = (node: Node, source: string): string =>
  source
    .slice(node.start, node.end)
    .replaceAll(/\n? *\/\*\*.*?\*\/ *(?=\n)/gs, '')
    .replace(/^(?:export )?declare /, '');

const oneLine = (code: string): string => code.replaceAll(/\s+/g, ' ').replaceAll(/; }/g, ' }');

/** What a docstring says: its text before the tags, and them. */
function docOf(node: Node) {
  const comment = node.leadingComments?.findLast((each: Node) => each.value.startsWith('*'));
  if (comment === undefined) return undefined;
  const lines = String(comment.value)
    .slice(1)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trimEnd());
  const [text = '', ...tags] = lines.join('\n').trim().split(/^@/m);
  const tagged = (name: string): string[] =>
    tags
      .filter((tag) => tag.startsWith(`${name} `) || tag.startsWith(`${name}\n`))
      .map((tag) => tag.slice(name.length).trim());
  return {
    text: prose(text),
    params: tagged('param').map((param) => {
      const [, name = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(param) ?? [];
      return { name, text: prose(rest) };
    }),
    returns: prose(tagged('returns').join(' ')),
    throws: tagged('throws').map((text) => {
      const [, error = '', rest = ''] = /^\{(\w+)\}\s*(.*)$/s.exec(text) ?? [];
      return { error, text: prose(rest) };
    }),
    examples: tagged('example'),
  };
}

/** A text in one paragraph a paragraph, and its links as names. */
const prose = (text: string): string =>
  text
    .trim()
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.replaceAll(/\s+/g, ' ').replaceAll(/\{@link (\w+)\}/g, '`$1`'))
    .join('\n\n');

export type Doc = NonNullable<ReturnType<typeof docOf>>;
export type Member = ReturnType<typeof readMember>;
export type Declaration = ReturnType<typeof readDeclaration>;
export type Entry = ReturnType<typeof readEntry>;
