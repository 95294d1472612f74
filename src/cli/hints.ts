import { onPostgres } from '../server-hints.js';
import { shellWord } from '../shell.js';

/** What of a call the commands in its hints take over. */
export interface HintContext {
  /** The store, where it is not the one that the config names. */
  readonly dbPath?: string | undefined;
  readonly backupDir?: string | undefined;
  /** The database without its password, where it is one of PostgreSQL. */
  readonly databaseUrl?: string | undefined;
  /** Whether it is the one of `DATABASE_URL`. */
  readonly isPostgres?: boolean | undefined;
  /** The store, whichever way it was named: it takes the place of STORE in hints. */
  readonly store?: string | undefined;
  /** How the program is called, where it is another's. Default: as this one was. */
  readonly program?: string | undefined;
}

/** Commands that hints name. */
const COMMANDS = 'up|deploy|down|status|executed|verify|backfill|skips|restore|report|init|create|lint';

/** A quoted word, or a command; one behind `npm exec --` stands as it is to be run. */
const HINTED = new RegExp(`(?<!\\w)'(?:[^'\\n]|'\\\\'')*'|(?<!-- )\\bumzug-backfill (${COMMANDS})\\b`, 'g');

/** A command within npm's script: other words can't be put before it. */
const HAS_COMMAND = new RegExp(`(?:^|\\s)(?:${COMMANDS}|pending)(?:\\s|$)`);

/**
 * What runs a command as this one was run: the script of npm, where it holds no command of its own; npx, where npm put the
 * program on the PATH for this one alone; else the program's name.
 */
function invocation(env: NodeJS.ProcessEnv, own: string | undefined): string {
  const isNpm = env.npm_lifecycle_event !== undefined || env.npm_command !== undefined;
  if (!isNpm) return own ?? 'umzug-backfill';
  const isScript = env.npm_command !== 'exec' && !HAS_COMMAND.test(env.npm_lifecycle_script ?? '');
  return isScript && env.npm_lifecycle_event !== undefined
    ? `npm run ${env.npm_lifecycle_event} --`
    : (own ?? 'npx umzug-backfill');
}

/**
 * Turns the commands that hints name into ones that run as they stand: through npm where this one came through npm, on
 * the same store, with backups in the same folder. A quoted word, as a path that holds such words, stays as it is.
 */
export function asRunnable(text: string, env: NodeJS.ProcessEnv, context: HintContext): string {
  const { dbPath, backupDir, databaseUrl, isPostgres } = context;
  const program = invocation(env, context.program);
  const store =
    databaseUrl !== undefined
      ? ` --database-url ${shellWord(databaseUrl)}`
      : isPostgres
        ? ' --postgres'
        : dbPath === undefined
          ? ''
          : ` --db-path ${shellWord(dbPath)}`;
  const copies = backupDir === undefined ? '' : ` --backup-dir ${shellWord(backupDir)}`;
  // Not within a code, as STORE_BUSY.
  const meant = databaseUrl !== undefined || isPostgres ? onPostgres(text) : text;
  const own = context.store;
  const named = own === undefined ? meant : meant.replace(/\bSTORE\b/g, () => shellWord(own));
  return named.replace(HINTED, (found, command?: string) => {
    if (command === undefined) return found;
    const changes = /^(?:up|deploy|down|backfill|restore)$/.test(command);
    return `${program} ${command}${command === 'create' ? '' : store}${changes ? copies : ''}`;
  });
}
