import { execFileSync } from 'node:child_process';

// What npm makes of a command line: test/processes/npm-trap.test.ts holds it to the npm that is installed.

/** npm completes an option to the only setting of its own that begins so. */
const COMPLETED: Readonly<Record<string, string>> = { to: 'token_description', dry: 'dry_run' };
/** An option of which every letter is a short one of npm's is all of these. */
const LETTERS: Readonly<Record<string, readonly string[]>> = {
  lang: ['long', 'all', 'global'],
  sql: ['long'],
};

/** What npm makes of the words behind `npm run migrate`. */
export function throughNpm(words: readonly string[]) {
  const [argv, env, rest]: [string[], Record<string, string>, string[]] = [[], {}, [...words]];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, no, name, given] = /^--(no-)?([\w-]+)(?:=(.*))?$/.exec(word) ?? [];
    const setting = name === undefined ? undefined : (COMPLETED[name] ?? name.replaceAll('-', '_'));
    const letters = LETTERS[name ?? ''];
    if (setting === undefined) argv.push(word);
    else if (letters) {
      for (const letter of letters) env[`npm_config_${letter}`] = 'true';
      if (given !== undefined) argv.push(given);
    } else {
      const takes = setting === 'token_description' && given === undefined; // its own, and known to have a value
      const value = (takes ? rest.shift() : given) ?? 'true';
      env[`npm_config_${setting}`] = no !== undefined || value === 'false' ? '' : value;
    }
  }
  const script: Record<string, string> = {
    npm_command: 'run',
    npm_lifecycle_event: 'migrate',
    npm_lifecycle_script: 'node show.js',
  };
  return { argv, env: { ...script, ...env } };
}
export type HandedOver = ReturnType<typeof throughNpm>;

/** The words of a command, as a shell has them. */
export const wordsOf = (command: string): string[] =>
  execFileSync('sh', ['-c', `set -- ${command}; printf '%s\\0' "$@"`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);
