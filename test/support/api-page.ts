import { type Declaration, type Doc, type Entry, type Member, readEntries } from './declarations.js';

// docs/api.md, made of the docstrings: `npm run api` writes it, a test holds it.

const HEAD = `# API reference

Every export of the package, and what it is made of, from the docstrings of the sources. \`npm run api\` writes this page, and a test
fails when it says something else than they do. [The README](../README.md#use-it-for-your-own-tables) begins with a project;
[troubleshooting.md](troubleshooting.md#by-code) lists every error code with what mends it.`;

/** The page as it has to be. */
export function apiPage(): string {
  return `${[HEAD, ...readEntries().flatMap(entrySections)].join('\n\n')}\n`;
}

function entrySections({ module, exported, others }: Entry): string[] {
  const all = [...exported, ...others];
  const isType = ({ kind }: Declaration): boolean => kind === 'interface' || kind === 'type';
  const ordered = [...exported.filter((each) => !isType(each)), ...exported.filter(isType)];
  return [
    `## From \`${module}\``,
    contents(ordered),
    ...ordered.map((each) => section(each, all)),
    ...(others.length > 0
      ? [`## What \`${module}\` does not export by name`, 'Shapes that those above are made of.']
      : []),
    ...others.map((each) => section(each, all)),
  ];
}

const heading = ({ name, kind }: Declaration): string =>
  kind === 'function' ? `\`${name}()\`` : `${kind === 'class' ? 'class' : 'type'} \`${name}\``;

/** A link to a section, with the anchor that GitHub gives it. */
const link = (declaration: Declaration): string => {
  const anchor = heading(declaration).toLowerCase().replaceAll(/[`()]/g, '').replaceAll(' ', '-');
  return `[\`${declaration.name}\`](#${anchor})`;
};

/** A line for each export. */
const contents = (exported: readonly Declaration[]): string =>
  table(
    ['export', 'what it is'],
    exported.map((each) => [link(each), firstSentence(each.doc)]),
  );

const firstSentence = (doc: Doc | undefined): string =>
  /^.*?\.(?=\s|$)/s.exec(doc?.text ?? '')?.[0] ?? doc?.text ?? '';

function section(declaration: Declaration, all: readonly Declaration[]): string {
  const { kind, code, doc, members, parents } = declaration;
  const known = parents.flatMap((parent) => all.find((each) => each.name === parent) ?? []);
  return [
    `### ${heading(declaration)}`,
    doc?.text ?? '',
    kind === 'interface' && members.length > 0 ? '' : fenced(kind === 'class' ? classHead(code) : code),
    members.length > 0 ? memberTable(members) : '',
    known.length > 0 ? `And all of ${known.map(link).join(', ')}.` : '',
    doc && doc.params.length > 0
      ? doc.params.map((param) => `- \`${param.name}\`: ${param.text}`).join('\n')
      : '',
    doc?.returns ? `Returns ${doc.returns}.` : '',
    doc && doc.throws.length > 0
      ? doc.throws.map(({ error, text }) => `Throws a \`${error}\`: ${text}.`).join('\n\n')
      : '',
    ...(doc?.examples ?? []).map((example) => `Example:\n\n${fenced(example)}`),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

const classHead = (code: string): string => code.slice(0, code.indexOf('{')).trim();

const memberText = (doc: Doc | undefined): string =>
  doc?.text.replaceAll('\n\n', ' ') ||
  (doc?.params ?? []).map(({ name, text }) => `\`${name}\`: ${text}`).join('; ');

const memberTable = (members: readonly Member[]): string =>
  table(
    ['member', 'type', 'what it is'],
    members.map(({ name, isOptional, type, doc }) => [
      `\`${name}${isOptional ? '?' : ''}\``,
      `\`${type}\``,
      memberText(doc),
    ]),
  );

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), `|${heads.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

const fenced = (code: string): string => `\`\`\`ts\n${code}\n\`\`\``;
