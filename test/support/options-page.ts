import {
  BACKUP_OPTIONS,
  CHANGING,
  COMMAND_OPTIONS,
  FILLING,
  ON_STORE,
  type Option,
  RUN_OPTIONS,
  usualOf,
} from './pure.js';

// The tables of options in docs/cli.md, made of the table of options: `npm run api` writes them, a test holds them.

type Named = readonly [name: string, row: Option];

const ROWS: readonly Named[] = [
  ...Object.entries<Option>(COMMAND_OPTIONS).map(([, row]): Named => ['–', row]),
  ...Object.entries<Option>(RUN_OPTIONS).map(([name, row]): Named => [`\`${name}\``, row]),
  ...Object.entries<Option>(BACKUP_OPTIONS).map(([name, row]): Named => [`\`backup.${name}\``, row]),
].filter(([, { flag }]) => flag !== undefined);

const isOf = ([, { help = {} }]: Named, commands: readonly string[]): boolean =>
  commands.every((command) => help[command] !== undefined);

/** The tables by the word of their marker. */
const TABLES: Readonly<Record<string, () => string>> = {
  commands: () =>
    table(
      ['option', 'of', 'default', 'effect'],
      ROWS.filter((row) => !isOf(row, FILLING)).flatMap(([, row]) =>
        Object.keys(row.help ?? {}).map((command) => [
          flagOf(row),
          `\`${command}\``,
          ...effectOf(row, command),
        ]),
      ),
    ),
  store: () => sharedTable(ROWS.filter((row) => isOf(row, ON_STORE))),
  changing: () => sharedTable(ROWS.filter((row) => isOf(row, CHANGING) && !isOf(row, ON_STORE))),
  filling: () => sharedTable(ROWS.filter((row) => isOf(row, FILLING) && !isOf(row, CHANGING))),
};

/** A page with its tables as they have to be, each between `<!-- options: NAME -->` and `<!-- end -->`. */
export const withOptionTables = (page: string): string =>
  page.replaceAll(
    /(<!-- options: (\w+) -->\n).*?(\n<!-- end -->)/gs,
    (_, start: string, name: string, end: string) => `${start}\n${TABLES[name]?.()}\n${end}`,
  );

function sharedTable(rows: readonly Named[]): string {
  const lines = rows.map(([name, row]) => {
    const [usual = '', effect = ''] = effectOf(row, 'up');
    return [flagOf(row), name, usual + exceptionsOf(row, 'up'), effect];
  });
  return table(['option', 'in code', 'default', 'effect'], lines);
}

/** A flag with its argument in capitals, or with its words. */
function flagOf({ flag = '', kind }: Option): string {
  const [name = '', argument = ''] = flag.split(' ');
  const { choices = [] } = kind;
  const words = choices.length > 0 ? choices.join('|') : argument.replaceAll(/[<>]/g, '').toUpperCase();
  return `\`${`${name} ${words}`.trim()}\``;
}

function effectOf(row: Option, command: string): string[] {
  const only = row.only === undefined ? '' : row.only === 'file' ? '; for a file' : '; for PostgreSQL';
  return [usualOf(row, command), (row.help?.[command] ?? '') + only];
}

/** The defaults of a row for commands that have another than `command`. */
const exceptionsOf = (row: Option, command: string): string =>
  FILLING.filter((each) => usualOf(row, each) !== usualOf(row, command))
    .map((each) => `; \`${each}\`: ${usualOf(row, each)}`)
    .join('');

function table(heads: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(heads), `|${heads.map(() => '---').join('|')}|`, ...lines.map(line)].join('\n');
}
