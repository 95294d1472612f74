import { resolve } from 'node:path';
import { isFromCode, onPostgres, type StoreAddress, type StoreFlags } from '../address.js';
import { expandHome } from '../db/path.js';
import { shellWord } from '../shell.js';

/** Options of a call that the commands in its hints need. */
export interface HintContext {
  /** The store, if it is not that of the config. */
  readonly dbPath?: string | undefined;
  readonly backupDir?: string | undefined;
  /** The PostgreSQL database, without its password. */
  readonly databaseUrl?: string | undefined;
  /** Whether the database is that of `DATABASE_URL`. */
  readonly isPostgres?: boolean | undefined;
  /** Whether the program has passed a database from its code: its commands need no option for it. */
  readonly isFromCode?: boolean | undefined;
  /** The store, however it was named: replaces STORE in hints. */
  readonly store?: string | undefined;
  /** Command of an embedding program. Default: that of this program. */
  readonly program?: string | undefined;
}

/**
 * Returns the options that the commands in hints need. The store is among them unless it is the config's: who runs such a command may not
 * have this environment, and would run it on another store.
 *
 * @param usual the path in the config
 */
export function hintContext(
  flags: StoreFlags,
  backupDir: string | undefined,
  { path, postgres }: StoreAddress,
  usual: string | undefined,
): HintContext {
  if (isFromCode({ postgres })) return { isFromCode: true, store: path };
  if (postgres)
    return { databaseUrl: flags.postgres ? undefined : path, isPostgres: flags.postgres, store: path };
  const dbPath = flags.dbPath ?? (path === usual ? undefined : resolve(expandHome(path)));
  return { dbPath, backupDir, store: dbPath ?? expandHome(path) };
}

/** Commands that hints contain. */
const COMMANDS = 'up|deploy|down|status|executed|verify|backfill|skips|restore|report|init|create|lint';

/** A quoted word, or a command; one after `npm exec --` is already runnable. */
const HINTED = new RegExp(`(?<!\\w)'(?:[^'\\n]|'\\\\'')*'|(?<!-- )\\bumzug-backfill (${COMMANDS})\\b`, 'g');

/** A command within npm's script, before which no other word can be put. */
const HAS_COMMAND = new RegExp(`(?:^|\\s)(?:${COMMANDS}|pending)(?:\\s|$)`);

/**
 * Returns what runs a command as this one was run: the npm script, if it contains no command; npx, if npm put the program on the PATH for
 * this call only; else the program's name.
 */
function invocation(env: NodeJS.ProcessEnv, own: string | undefined): string {
  const isNpm = env.npm_lifecycle_event !== undefined || env.npm_command !== undefined;
  if (!isNpm) return own ?? 'umzug-backfill';
  const isScript = env.npm_command !== 'exec' && !HAS_COMMAND.test(env.npm_lifecycle_script ?? '');
  return isScript && env.npm_lifecycle_event !== undefined
    ? `npm run ${env.npm_lifecycle_event} --`
    : (own ?? 'npx umzug-backfill');
}

/** Returns the flag that names the store, after a space. */
function storeFlag({ dbPath, databaseUrl, isPostgres }: HintContext): string {
  if (databaseUrl !== undefined) return ` --database-url ${shellWord(databaseUrl)}`;
  if (isPostgres) return ' --postgres';
  return dbPath === undefined ? '' : ` --db-path ${shellWord(dbPath)}`;
}

/**
 * Makes the commands in a hint runnable as they are: through npm if this one came through npm, on the same store, with backups in the same
 * folder. Quoted words, such as a path that contains a command, are unchanged.
 */
export function asRunnable(text: string, env: NodeJS.ProcessEnv, context: HintContext): string {
  const { backupDir, databaseUrl, isPostgres, store } = context;
  const program = invocation(env, context.program);
  const backups = backupDir === undefined ? '' : ` --backup-dir ${shellWord(backupDir)}`;
  const isServer = databaseUrl !== undefined || isPostgres || context.isFromCode;
  const meant = isServer ? onPostgres(text) : text;
  // Only the whole word, not a part of a code such as STORE_BUSY.
  const named = store === undefined ? meant : meant.replace(/\bSTORE\b/g, () => shellWord(store));
  return named.replace(HINTED, (found, command?: string) => {
    if (command === undefined) return found;
    const changes = /^(?:up|deploy|down|backfill|restore)$/.test(command);
    return `${program} ${command}${command === 'create' ? '' : storeFlag(context)}${changes ? backups : ''}`;
  });
}
