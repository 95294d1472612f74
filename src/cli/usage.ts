import type { CommanderError } from 'commander';
import { BackfillError } from '../errors.js';
import { type Message, msg } from '../messages/message.js';
import type { Kind } from '../options.js';

const usage = (message: Message, options?: { readonly cause: unknown }): BackfillError =>
  new BackfillError('USAGE', message, msg('Run umzug-backfill --help, or the command with --help'), options);

/** Returns the error for an argument of a flag that is not of its kind. */
export const invalidArgument = (flag: string, { expected }: Kind, value: string): BackfillError =>
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

/** Adds the similar names that commander found. */
function withSimilar(unknown: Message, message: string): Message {
  const similar = /\(Did you mean (?:one of )?(.*)\?\)$/s.exec(message)?.[1];
  return similar === undefined
    ? unknown
    : msg('{message} (Did you mean {names}?)', { message: unknown, names: similar.split(', ') });
}
