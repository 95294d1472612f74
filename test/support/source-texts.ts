import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type ParseResult, parse } from '@babel/parser';
import { root } from './cli.js';

// Reads the sources for the texts that stand in them: each literal, and each template with its holes as `{}`.

type Node = ParseResult | { readonly type: string; readonly [field: string]: unknown };

const isNode = (value: unknown): value is Node & Record<string, unknown> =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';

/** Every text in the files of a folder, itself or below it. */
export const textsIn = (folder: string) => sourcesIn(folder).flatMap(textsOfFile);
export type SourceText = ReturnType<typeof textsIn>[number];

function sourcesIn(folder: string): string[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).sort();
  return files.filter((name) => name.endsWith('.ts')).map((name) => join(root, folder, name));
}

const parseFile = (path: string): ParseResult['program'] =>
  parse(readFileSync(path, 'utf8'), { sourceType: 'module', plugins: ['typescript'] }).program;

/** Every pair of a text and another in the objects of a folder's sources, as a catalog has them. */
export function pairsIn(folder: string): (readonly [key: string, text: string])[] {
  const found: (readonly [string, string])[] = [];
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const part of node) visit(part);
    if (!isNode(node)) return;
    if (node.type === 'ObjectProperty') {
      const { key, value } = node as Record<string, unknown>;
      const [name] = isNode(key) ? [...textsOf(key), ...namesIn(key)] : [];
      const [text] = isNode(value) ? textsOf(value) : [];
      if (name !== undefined && text !== undefined) found.push([name, text]);
    }
    for (const [field, part] of Object.entries(node)) if (field !== 'loc') visit(part);
  };
  for (const path of sourcesIn(folder)) visit(parseFile(path));
  return found;
}

/**
 * Every text in a file, with `{}` for each hole (one that is one of two literals gives two texts), its place, and the calls and
 * members that it stands in, outermost first, as `throw`, `BackfillError`, `option`.
 */
function textsOfFile(path: string) {
  const found: { readonly text: string; readonly at: string; readonly within: readonly string[] }[] = [];
  const visit = (node: unknown, within: readonly string[]): void => {
    if (Array.isArray(node)) {
      for (const part of node) visit(part, within);
      return;
    }
    if (!isNode(node) || /^(?:TS(?!As|NonNull|Satisfies)|Import|ExportAll)/.test(node.type)) return;
    for (const text of textsOf(node)) {
      const { line } = (node.loc as { start: { line: number } }).start;
      found.push({ text, at: `${relative(root, path)}:${line}`, within });
    }
    const inner = [...within, ...nameOf(node)];
    const own = node.type === 'TemplateLiteral' ? holesToVisit(node) : Object.entries(node);
    if (node.type === 'BinaryExpression' && /^[=!]==$/.test(String(node.operator))) return; // compared, not told
    for (const [field, part] of own)
      if (!/^(?:loc|comments|source|key)$|Comments$/.test(field)) visit(part, inner);
  };
  visit(parseFile(path), []);
  return found;
}

/** What a node adds to the way to a text. */
function nameOf(node: Record<string, unknown>): string[] {
  if (node.type === 'ThrowStatement') return ['throw'];
  if (node.type === 'VariableDeclarator' || node.type === 'FunctionDeclaration') return namesIn(node.id);
  if (node.type === 'TaggedTemplateExpression') return namesIn(node.tag);
  return node.type === 'CallExpression' || node.type === 'NewExpression' ? namesIn(node.callee) : [];
}

function namesIn(node: unknown): string[] {
  if (!isNode(node)) return [];
  if (node.type === 'Identifier') return [String((node as Record<string, unknown>).name)];
  return node.type === 'MemberExpression' ? namesIn((node as Record<string, unknown>).property) : [];
}

interface Template {
  readonly quasis: readonly { readonly value: { readonly cooked: string } }[];
  readonly expressions: readonly unknown[];
}

/** The texts of a literal or a template; none of any other node. */
function textsOf(node: Record<string, unknown>): string[] {
  if (node.type === 'StringLiteral') return [String(node.value)];
  if (node.type !== 'TemplateLiteral') return [];
  const { quasis, expressions } = node as unknown as Template;
  return quasis.reduce<string[]>(
    (texts, { value }, i) => {
      const before = i === 0 ? [''] : choices(expressions[i - 1]);
      return texts.flatMap((text) => before.map((hole) => text + hole + value.cooked));
    },
    [''],
  );
}

/** What stands in a hole: each literal that a condition may choose, and a hole for anything else. */
const choices = (node: unknown): string[] => [
  ...new Set(
    branches(node).flatMap((part) => {
      const texts = isNode(part) ? textsOf(part) : [];
      return texts.length > 0 ? texts : ['{}'];
    }),
  ),
];

/** What a condition may choose; anything else is that itself. */
function branches(node: unknown): unknown[] {
  if (!isNode(node) || node.type !== 'ConditionalExpression') return [node];
  const { consequent, alternate } = node as Record<string, unknown>;
  return [...branches(consequent), ...branches(alternate)];
}

/** The parts of a template that hold texts of their own: not those that are in its own texts already. */
function holesToVisit(node: Record<string, unknown>): [string, unknown][] {
  const { expressions } = node as unknown as Template;
  const parts = expressions.flatMap(branches);
  return parts.filter((part) => !isNode(part) || textsOf(part).length === 0).map((part) => ['hole', part]);
}
