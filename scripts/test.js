import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { globSync } from 'tinyglobby';

// Runs compiled tests in several processes (.mocharc.json) and in a random order, as no file may depend on another:
//
//   node scripts/test.js [TIER | FILE]… [--seed SEED] [OPTION OF MOCHA]…
//
// FILE is a source, as test/keys.test.ts. The order comes from the seed, which is printed: the same seed repeats it.

const root = fileURLToPath(new URL('../', import.meta.url));
const find = (...patterns) => globSync(patterns, { cwd: root });
const fast = find('test/*.test.ts', 'test/cli/*.test.ts');
const crash = find('test/crash/*.test.ts');
const hasLongForm = (file) => readFileSync(join(root, file), 'utf8').includes('/support/long.js');

const TIERS = {
  fast,
  processes: [...find('test/processes/*.test.ts'), ...crash],
  crash: [...crash, ...fast.filter(hasLongForm)],
};

const files = [];
const options = [];
let seed = Math.floor(Math.random() * 2 ** 32);
const args = process.argv.slice(2);
while (args.length > 0) {
  const word = args.shift();
  if (word === '--seed') seed = Number(args.shift());
  else if (Object.hasOwn(TIERS, word)) files.push(...TIERS[word]);
  else if (word.endsWith('.ts')) files.push(word);
  else options.push(word);
}
if (files.length === 0) files.push(...fast);
if (!Number.isInteger(seed)) throw new Error('Expected --seed to be followed by a whole number');

/** Numbers from 0 to below 1 (mulberry32). */
function random() {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

console.log(`${files.length} test files, in the order of --seed ${seed}`);
const order = files.sort().map((file) => ({ file, at: random() }));
order.sort((a, b) => a.at - b.at);
const compiled = order.map(({ file }) => file.replace(/^(?:\.\/)?/, 'dist/').replace(/\.ts$/, '.js'));
const alone = files.length === 1 ? ['--no-parallel'] : [];
const { status, signal } = spawnSync(
  process.execPath,
  ['node_modules/mocha/bin/mocha.js', ...alone, ...options, ...compiled],
  {
    cwd: root,
    stdio: 'inherit',
    env: files.length > 1 ? { ...process.env, UMZUG_BACKFILL_TEST_SERVER: 'start' } : process.env,
  },
);
process.exitCode = signal === null ? (status ?? 1) : 1;
