import { type Command, type CommanderError, Option as CommanderOption } from 'commander';
import { isFromCode, type StoreAddress, storeAddress } from '../address.js';
import { COMMAND_OPTIONS } from '../command-options.js';
import { refuseWorkers } from '../engine/run-options.js';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import type { MigratorOptions } from '../migrate/options.js';
import { BACKUP_OPTIONS, RUN_OPTIONS, type RunSettings } from '../option-table.js';
import { type Kind, type Option, type OptionTable, usualOf, type ValuesOf } from '../options.js';

const FLAGS = {
  ...COMMAND_OPTIONS,
  ...RUN_OPTIONS,
  'backup.folder': BACKUP_OPTIONS.folder,
  'backup.check': BACKUP_OPTIONS.check,
  'backup.keep': BACKUP_OPTIONS.keep,
} as const satisfies OptionTable;

const ROWS: readonly (readonly [name: string, row: Option])[] = Object.entries(FLAGS);

/** Values of the flags of a call. */
export type CliOptions = ValuesOf<typeof FLAGS>;

/** A row of the table as a flag of one command. Its value is in the unit of the option. */
class TableFlag extends CommanderOption {
  readonly #name: string;

  constructor(name: string, row: Option, command: string) {
    super(row.flag ?? '', `${row.help?.[command]} (default: ${usualOf(row, command)})`);
    const { kind, unit = 1, conflicts } = row;
    this.#name = name;
    this.conflicts([...(conflicts?.[command] ?? [])]);
    if (kind.choices) this.argChoices = [...kind.choices];
    if (!kind.parse) return;
    this.argParser((text: string) => {
      const value = kind.parse?.(text);
      if (value === undefined) throw invalidArgument(this.long ?? '', kind, text);
      return typeof value === 'number' ? value * unit : value;
    });
  }

  override attributeName(): string {
    return this.#name;
  }
}

/** Adds the flags of a command, as the table has them. */
export function addFlags(command: Command): Command {
  for (const [name, row] of ROWS)
    if (row.help?.[command.name()] !== undefined) command.addOption(new TableFlag(name, row, command.name()));
  return command;
}

/** Flags that are refused for several stores. */
export const SINGLE_STORE_FLAGS: readonly string[] = ROWS.flatMap(([, row]) =>
  row.isSingle ? nameOf(row) : [],
);

/** A flag of the command line. */
export interface KnownFlag {
  /** Its name without dashes, such as `batch-size`. */
  readonly name: string;
  /** Whether a word can be its value; absent if it takes none. */
  readonly takes?: (word: string) => boolean;
  /** Whether the value may be left out. */
  readonly isOptional?: boolean;
}

/** All flags. */
export const KNOWN_FLAGS: readonly KnownFlag[] = ROWS.flatMap(([, { flag, kind }]) => {
  if (flag === undefined) return [];
  const [name = '', argument] = flag.slice(2).split(' ');
  const takes = (word: string): boolean => kind.parse?.(word) !== undefined;
  return argument === undefined ? { name } : { name, takes, isOptional: argument.startsWith('[') };
});

/** The name of a flag without its argument, such as `--batch-size`. */
function nameOf({ flag }: Option): string {
  return flag?.split(' ')[0] ?? '';
}

/** Returns the values of a flag, read from the arguments without commander, which may be what failed. */
export const givenAll = (argv: readonly string[], flag: string): readonly string[] =>
  argv.flatMap((word, i) =>
    word === flag ? (argv[i + 1] ?? []) : word.startsWith(`${flag}=`) ? word.slice(flag.length + 1) : [],
  );

/** Returns the last value of a flag: commander takes the last one, too. See {@link givenAll}. */
export const given = (argv: readonly string[], flag: string): string | undefined =>
  givenAll(argv, flag).at(-1);

/** An embedding program, which replaces the config file. */
export interface Embedding {
  /** Loads its project, with the options of runs that apply unless the arguments state others. */
  readonly loadMigrator: (trust: Pick<CliOptions, 'trustConfig'>) => Promise<MigratorOptions>;
  /** Its command, such as `node migrate.js`, for help and hints. */
  readonly program: string;
}

/** A project, and options of runs that apply unless the arguments state others. */
export type MigratorDefaults = Pick<MigratorOptions, 'project'> & Partial<MigratorOptions>;

/** Returns the store of a call: an embedding program may have passed one from its code, which the arguments override. */
export function addressOfCall(
  options: CliOptions,
  { project, path = '', postgres }: MigratorDefaults,
  env: NodeJS.ProcessEnv,
): StoreAddress {
  const isChosen = (options.dbPath ?? options.databaseUrl ?? options.postgres) !== undefined;
  if (isChosen || !postgres || !isFromCode({ postgres })) return storeAddress(project.config, options, env);
  return { path, postgres };
}

/** Returns the options of a migrator for the arguments of a command. Events and signals are added by the caller. */
export function migratorOptions(
  options: CliOptions,
  address: StoreAddress,
  defaults: MigratorDefaults,
): MigratorOptions {
  const given = Object.keys(RUN_OPTIONS).flatMap((name) =>
    name in options ? [[name, options[name as keyof RunSettings]]] : [],
  );
  return {
    ...defaults,
    ...Object.fromEntries(given),
    postgres: undefined, // the arguments may name a file instead
    ...address,
    showValues: options.showValues,
    backup: backupOptions(options, defaults.backup),
  };
}

/** Without a backup if the arguments or else the defaults say so; an argument about backups asks for one. */
function backupOptions(options: CliOptions, defaults: RunSettings['backup']): RunSettings['backup'] {
  if (options.backup === false) return false;
  const { 'backup.folder': folder, 'backup.check': check, 'backup.keep': keep } = options;
  if ((folder ?? check ?? keep) === undefined) return defaults;
  const usual = defaults || {};
  return { folder: folder ?? usual.folder, check: check ?? usual.check, keep: keep ?? usual.keep };
}

/**
 * Refuses options that apply to the other kind of store.
 *
 * @throws {BackfillError} `USAGE`
 */
export function refuseOtherOptions(options: CliOptions, { postgres }: StoreAddress): void {
  refuseWorkers(options.workers, postgres !== undefined, '--workers');
  if (!postgres) return;
  const given = new Map<string, unknown>(Object.entries(options));
  for (const [name, row] of ROWS) {
    if (row.only !== 'file' || given.get(name) === undefined) continue;
    throw new BackfillError(
      'USAGE',
      msg('{option} is for a file', { option: nameOf(row) }),
      msg('Remove it: a PostgreSQL database is backed up with its own tools'),
    );
  }
}

const usage = (message: Message, options?: { readonly cause: unknown }): BackfillError =>
  new BackfillError('USAGE', message, msg('Run umzug-backfill --help, or the command with --help'), options);

const invalidArgument = (flag: string, { expected }: Kind, value: string): BackfillError =>
  usage(msg('Expected `{option}` to be {expected}, got `{value}`', { option: flag, expected, value }));

/** Returns the error for a call that commander rejected. */
export const usageError = (error: CommanderError, argv: readonly string[]): BackfillError =>
  usage(messageOf(error, argv), { cause: error });

/** Messages of commander by its code: what they name is in quotes. */
function messageOf({ code, message }: CommanderError, argv: readonly string[]): Message {
  const [first = '', second = ''] = [...message.matchAll(/'(.*?)'/gs)].map(([, name = '']) => name);
  switch (code) {
    case 'commander.unknownOption':
      return withSimilar(msg("Unknown option '{option}'", { option: first }), message);
    case 'commander.unknownCommand':
      return withSimilar(msg("Unknown command '{command}'", { command: first }), message);
    case 'commander.optionMissingArgument':
      return msg("Option '{option}' argument missing", { option: first });
    case 'commander.missingArgument':
      return msg("Argument '{argument}' missing", { argument: first });
    case 'commander.conflictingOption':
      return msg("Option '{option}' cannot be used with option '{other}'", { option: first, other: second });
    case 'commander.excessArguments': {
      const [maximum, got] = message.match(/\d+(?= argument|\.$)/g) ?? [];
      return msg("Too many arguments for '{command}': maximum {maximum}, got {got}", {
        command: first,
        maximum,
        got,
      });
    }
    default: {
      const words = argv.filter((word) => !word.startsWith('-'));
      return words.length > 1
        ? msg("Unknown command '{command}'", { command: words.at(-1) })
        : msg('No command is given');
    }
  }
}

function withSimilar(unknown: Message, message: string): Message {
  const similar = /\(Did you mean (?:one of )?(.*)\?\)$/s.exec(message)?.[1];
  return similar === undefined
    ? unknown
    : msg('{message} (Did you mean {names}?)', { message: unknown, names: similar.split(', ') });
}
