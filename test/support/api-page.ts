import { type Declaration, type Doc, type Entry, type Member, readEntries } from './declarations.js';

// docs/api.md, generated from the docstrings: `npm run api` writes it, and a test compares it.

const HEAD = `# API reference

The functions of the package, their options, and the objects that they return. \`npm run api\` generates this page from the docstrings of the
sources. Results, events and declared values are listed by name; an editor shows their members.
[The README](../README.md#use-it-for-your-own-tables) starts with a project; [troubleshooting.md](troubleshooting.md#error-codes) lists
the error codes and their fixes.`;

/** Returns the page as the docstrings say it. */
export function apiPage(): string {
  return `${[HEAD, ...readEntries().flatMap(entrySections)].join('\n\n')}\n`;
}

function entrySections({ module, exported, others }: Entry): string[] {
  const all = [...exported, ...others];
  const callable = exported.filter(({ kind }) => kind === 'function' || kind === 'class');
  const objects = objectsOf(callable, all);
  const inputs = inputsOf(callable, all);
  const shown = [...new Set([...callable, ...objects, ...inputs])];
  const listed = [...new Set([...exported, ...inputsNamed(callable, all)])].filter(
    (each) => !shown.includes(each),
  );
  const linked = (text: string): string => linkNames(text, shown);
  return [
    `## From \`${module}\``,
    callable.map(link).join(' · '),
    ...shown.map((each) => section(each, linked, all)),
    `### Other types of \`${module}\``,
    table(
      ['type', 'description'],
      listed.map((each) => [
        `\`${each.name}\`${isShort(each) ? `: \`${aliased(each)}\`` : ''}`,
        isShort(each) ? (each.doc?.text ?? '') : firstSentence(each.doc),
      ]),
    ),
  ];
}

/** Declarations that a text of code names. */
const namedIn = (code: string, all: readonly Declaration[]): Declaration[] =>
  all.filter(({ name }) => new RegExp(`\\b${name}\\b`).test(code));

const parentsOf = ({ parents }: Declaration, all: readonly Declaration[]): Declaration[] =>
  parents.flatMap((parent) => namedIn(parent, all));

const returnOf = (code: string): string => /\): ([^)]*);?$/.exec(code)?.[1] ?? '';

/** Returned interfaces with methods, and their parents. */
function objectsOf(callable: readonly Declaration[], all: readonly Declaration[]): Declaration[] {
  const returned = callable.flatMap(({ code }) => namedIn(returnOf(code), all));
  const family = returned.flatMap((each) => [each, ...parentsOf(each, all)]);
  const isObject = ({ kind, members, parents }: Declaration): boolean =>
    kind === 'interface' && (parents.length > 0 || members.some(({ type }) => /\) ?(?:=>|:)/.test(type)));
  return [...new Set(family)].filter((each) => isObject(each) && isDocumented(each));
}

/** What an alias stands for. */
const aliased = ({ code }: Declaration): string => code.replace(/^type [^=]*= |;$/g, '');

/** Whether a type is an alias that fits into a row of a table. */
const isShort = (each: Declaration): boolean =>
  each.kind === 'type' &&
  !/[=;]./.test(aliased(each)) &&
  aliased(each).length < 80 &&
  !each.code.includes('\n');

const isDocumented = ({ kind, members, parents }: Declaration): boolean =>
  kind !== 'interface' || parents.length > 0 || members.some(({ doc }) => doc !== undefined);

/** Types of options that have a section. */
const inputsOf = (callable: readonly Declaration[], all: readonly Declaration[]): Declaration[] =>
  inputsNamed(callable, all).filter((each) => isDocumented(each) && !isShort(each));

/** Types of options: named by a parameter, or by an option that is not a function. */
function inputsNamed(callable: readonly Declaration[], all: readonly Declaration[]): Declaration[] {
  const functions = callable.filter(({ kind }) => kind === 'function');
  const returned = new Set(functions.flatMap(({ code }) => namedIn(returnOf(code), all)));
  const found = new Set<Declaration>();
  const follow = (code: string): void => {
    for (const each of namedIn(code, all)) {
      if (returned.has(each) || callable.includes(each) || found.has(each)) continue;
      found.add(each);
      for (const parent of each.parents) follow(parent);
      if (each.kind === 'type') follow(each.code);
      for (const { type } of each.members) if (!type.includes('=>') && !type.includes('):')) follow(type);
    }
  };
  for (const { code } of functions) follow(code.slice(0, code.length - returnOf(code).length - 1));
  return [...found];
}

const heading = ({ name, kind }: Declaration): string =>
  kind === 'function' ? `\`${name}()\`` : `${kind === 'class' ? 'class' : 'type'} \`${name}\``;

/** Returns a link to a section, with the anchor that GitHub gives it. */
const link = (declaration: Declaration): string => {
  const anchor = heading(declaration).toLowerCase().replaceAll(/[`()]/g, '').replaceAll(' ', '-');
  return `[\`${declaration.name}\`](#${anchor})`;
};

/** Links names in code that have a section. */
const linkNames = (text: string, shown: readonly Declaration[]): string =>
  text.replace(/`(\w+)(?:\(\))?`/g, (code, name: string) => {
    const declaration = shown.find((each) => each.name === name);
    return declaration === undefined ? code : link(declaration);
  });

const firstSentence = (doc: Doc | undefined): string =>
  /^.*?\.(?=\s|$)/s.exec(doc?.text ?? '')?.[0] ?? doc?.text ?? '';

function section(
  declaration: Declaration,
  linked: (text: string) => string,
  all: readonly Declaration[],
): string {
  const { name, kind, code, doc, members } = declaration;
  const others = (text: string): string => (text.includes(`\`${name}\``) ? text : linked(text));
  const params = (doc?.params ?? []).filter(({ text }) => !text.startsWith('see '));
  const parents = parentsOf(declaration, all).map((parent) => others(`\`${parent.name}\``));
  return [
    `### ${heading(declaration)}`,
    kind === 'function' ? fenced(signature(code)) : kind === 'type' ? fenced(code) : '',
    others(doc?.text ?? ''),
    params.map((param) => `- \`${param.name}\`: ${param.text}`).join('\n'),
    kind === 'function' ? optionsLine(code, linked, all) : '',
    members.length > 0 ? memberTable(members) : '',
    parents.length > 0 ? `Also has the members of ${parents.join(', ')}.` : '',
    doc?.returns ? `Returns ${doc.returns}.` : '',
    (doc?.throws ?? []).map(({ error, text }) => `Throws a \`${error}\`: ${text}.`).join('\n\n'),
    ...(doc?.examples ?? []).map(fenced),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** Links the type of the parameter that has one with a section. */
function optionsLine(code: string, linked: (text: string) => string, all: readonly Declaration[]): string {
  const named = namedIn(signature(code).replace(/\): .*$/s, ''), all);
  const links = named
    .filter(({ kind }) => kind !== 'function')
    .map(({ name }) => linked(`\`${name}\``))
    .filter((each) => each.startsWith('['));
  return links.length > 0 ? `Types: ${links.join(', ')}.` : '';
}

/** A function's signature in one line, without type parameters and destructuring. */
const signature = (code: string): string =>
  code
    .replaceAll(/\s+/g, ' ')
    .replace(/^(function \w+)<.*?>\(/, '$1(')
    .replace(/\{[^{}]*\}(\??): (\w+)/, 'options$1: $2')
    .replace(/(\w+Options)<[^>]*>/, '$1')
    .replace(/^function /, '');

const memberText = (doc: Doc | undefined): string =>
  doc?.text || (doc?.params ?? []).map(({ name, text }) => `\`${name}\`: ${text}`).join('; ');

const memberTable = (members: readonly Member[]): string =>
  table(
    ['member', 'description'],
    members.map(({ name, isOptional, type, doc }) => [
      type.includes('):') || type.startsWith('constructor')
        ? `\`${type}\``
        : `\`${name}${isOptional ? '?' : ''}: ${type.replace(/^readonly \w+ = | \| undefined$/g, '')}\``,
      memberText(doc),
    ]),
  );

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('\n\n', ' ').replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), `|${heads.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

const fenced = (code: string): string => `\`\`\`ts\n${code}\n\`\`\``;
