import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../cli.js';
import type { Random } from './random.js';
import type { Command, Make } from './runner.js';
import { putImage, type Stage } from './stages.js';

const COMMANDS = [
  ...[
    'up',
    'down',
    'deploy',
    'status',
    'pending',
    'executed',
    'verify',
    'report',
    'backfill',
    'restore',
    'skips',
    'lint',
  ],
  ...['init', 'create', 'help', 'nonsense', '', '--help', '--version', '__proto__', 'constructor'],
];

const FLAGS = [
  ...[
    '--dry-run',
    '--show-values',
    '--strict',
    '--yes',
    '--json',
    '--no-backup',
    '--allow-triggers',
    '--rescan',
    '--check',
    '--print-sql',
  ],
  ...[
    '--postgres',
    '--help',
    '--backfill',
    '--sql',
    '--report',
    '--',
    '-h',
    '-x',
    '--nonsense',
    '--no-json',
    '--constructor',
    '--db-pth',
  ],
];

const OPTIONS = [
  ...[
    '--batch-size',
    '--lock-timeout',
    '--keep-backups',
    '--workers',
    '--concurrency',
    '--target-batch-ms',
    '--wal-limit',
    '--step',
  ],
  ...[
    '--min-coverage',
    '--log-level',
    '--lang',
    '--pace',
    '--check-backup',
    '--backfills',
    '--to',
    '--sqlite',
    '--databse-url',
  ],
];

const PATHS = ['--db-path', '--backup-dir', '--metrics-file', '--out', '--report'];

const VALUES = [
  ...[
    '0',
    '1',
    '-1',
    '1e3',
    '0x10',
    '99999999999999999999',
    '1.5',
    'NaN',
    'Infinity',
    '',
    ' 1',
    '٣',
    '1,000',
    'full',
    'quick',
    'courteous',
  ],
  ...[
    'info',
    'debug',
    'silent',
    'en',
    'zh',
    'beside',
    'before',
    '2-fields',
    '1-columns',
    '__proto__',
    '--json',
    '-',
    '3.35',
    '100',
    '101',
  ],
];

/** URLs that lead to no server: nothing listens there. */
const URLS = [
  ...[
    'postgres://127.0.0.1:1/x',
    'postgresql://u:secret@localhost:1/db?sslmode=verify-full',
    'postgres://u:p%zz@127.0.0.1:1/x',
    'mysql://a:b@c/d',
  ],
  ...[
    'postgres://',
    'postgres://127.0.0.1:99999/x',
    'postgres:///x?host=/nowhere',
    'host=127.0.0.1 password=secret',
    'postgres://[::1]:1/x',
    'http://a',
  ],
  ...[
    'postgres://u@127.0.0.1:1/x?SSLMODE=bogus&options=-c%20a',
    'postgres://127.0.0.1:1/%00',
    'file:store.db',
    'postgresql+psycopg2://u:p@127.0.0.1:1/x',
  ],
];

const ENVIRONMENT = [
  ...[
    'LANG',
    'LC_ALL',
    'LC_MESSAGES',
    'NO_COLOR',
    'FORCE_COLOR',
    'TERM',
    'COLUMNS',
    'TZ',
    'CI',
    'AGENTOS_DB_PATH',
    'DATABASE_URL',
    'DATABASE_TYPE',
  ],
  ...[
    'DATABASE_HOST',
    'DATABASE_PORT',
    'npm_config_db_path',
    'npm_config_yes',
    'npm_lifecycle_event',
    'npm_command',
    'npm_config_json',
  ],
  ...[
    'npm_config_batch_size',
    'NODE_ENV',
    'DEBUG',
    'PGSSLMODE',
    'PGPORT',
    'PGUSER',
    'PGPASSFILE',
    'UMZUG_BACKFILL_FAILPOINT',
    'npm_config_to',
  ],
];

/** Environments can't hold a NUL. */
const envText = (random: Random): string =>
  random
    .pick([random.text(), random.pick(VALUES), random.pick(['zh_CN.UTF-8', 'C', 'true', ''])])
    .replaceAll('\u0000', '');

/** Words that people and scripts get wrong, and environments. */
export const makeWords =
  (stages: readonly Stage[]): Make =>
  (random, folder) => {
    const path = join(folder, 'store.db');
    putImage(random.pick(stages).image, path);
    const value = (): string => (random.chance(0.7) ? random.pick(VALUES) : random.text());
    // What is written is asked for: in the case's own folder.
    const place = (): string =>
      random.chance(0.5)
        ? path
        : join(
            folder,
            random.pick([
              'out',
              'out/deep/x',
              'a b',
              'store.db-wal',
              "it's",
              '-x',
              '*.db',
              'ü\u0301',
              '\n',
              'x'.repeat(300),
            ]),
          );
    const word = (): string[] => {
      const kind = random.below(10);
      if (kind < 3) return [random.pick(FLAGS)];
      const option = random.pick(OPTIONS);
      if (kind < 6) return random.chance(0.3) ? [`${option}=${value()}`] : [option, value()];
      if (kind === 6) return [random.pick(PATHS), place()];
      if (kind === 7) return ['--database-url', random.pick(URLS)];
      if (kind === 8) return [random.text()];
      return [random.pick(VALUES)];
    };
    const command = random.pick(COMMANDS);
    const writesHere = ['init', 'create', 'report'].includes(command);
    const words = random.some(random.below(6), word).flat();
    const argv = [...(random.chance(0.9) ? [command] : []), ...words];
    if (random.chance(0.8)) argv.push('--db-path', path);
    if (random.chance(0.05)) argv.unshift(...word());
    const env: NodeJS.ProcessEnv = {};
    const times = random.pick([0, 0, 1, 3]);
    for (let i = 0; i < times; i += 1) env[random.pick(ENVIRONMENT)] = envText(random);
    return [
      {
        argv,
        env,
        folder: writesHere || random.chance(0.1) ? 'case' : 'project',
        writes: /./,
      } satisfies Command,
    ];
  };

// Configs

const api = JSON.stringify(new URL('dist/src/index.js', `file://${root}`).href);

/** Values of JavaScript that a declaration may be given, as source. */
function anyValue(random: Random): string {
  return random.pick([
    ...[
      'null',
      'undefined',
      'true',
      '0',
      '-1',
      '1.5',
      'NaN',
      'Infinity',
      '1n',
      "''",
      '[]',
      '{}',
      '[null]',
      '[[]]',
      '() => 1',
      'async () => 1',
    ],
    ...[
      'Symbol()',
      'new Date(NaN)',
      '/x/',
      'new Map()',
      'new Proxy({}, { get() { throw new Error("x"); } })',
      'class {}',
      'Promise.resolve(1)',
    ],
    ...[
      'Object.create(null)',
      '{ get kind() { throw 1; } }',
      '{ __proto__: null }',
      '{ toString: null }',
      'globalThis',
      'new Array(5)',
      "['a', 'a']",
    ],
    ...[
      '(() => { const a = {}; a.a = a; return a; })()',
      "'x'.repeat(1e5)",
      "'a\\0b'",
      "'\\ud800'",
      '"\'"',
      "'\"'",
      "'--'",
      "'; DROP TABLE items'",
    ],
    ...[
      "'task_audits'",
      "'items'",
      "'audit_id'",
      "'source_event_ts'",
      "'TEXT'",
      "'1'",
      "'true'",
      "'nothing'",
      "sql('1')",
      "firstOf('payload', ['a'])",
    ],
    JSON.stringify(random.text()),
  ]);
}

const TEMPLATES = {
  config: [
    `defineConfig({ database: { path: 'store.db', env: 'X_DB', otherPaths: ['a.db'], postgres: { type: 'T', host: 'H', port: 'P', name: 'N', user: 'U', password: 'W' } }, steps: ['steps'], requires: { tables: { items: ['id'] }, version: { table: 'schema_version', column: 'version', atLeast: '0.20.0' } } })`,
    `{ kind: 'config', database: { path: 'store.db' }, steps: ['steps'], requires: { tables: { items: ['id'] } } }`,
  ],
  step: [
    `defineSchemaStep({ table: 'items', columns: { upper: 'TEXT' }, indexes: { by_upper: { columns: ['upper'], where: 'upper IS NOT NULL' } }, version: { table: 'schema_version', column: 'version', to: '0.22.0' } })`,
    `defineBackfill({ table: 'items', key: 'id', scope: 'true', columns: { kind2: sql('upper(name)') }, checks: { groupBy: 'kind', timestamps: true, rules: { short: { where: 'length(kind2) < 9' } } } })`,
    `defineBackfill({ table: 'task_audits', key: 'audit_id', columns: { a: firstOf('payload', ['x', 'y'], 'created_at') } })`,
    `defineBackfill({ table: 'items', key: 'id', columns: ['size'], reads: ['name'], processVersion: 1, process: (rows) => rows.map(({ name }) => ({ size: String(name).length })) })`,
    `defineSqlStep({ up: ['CREATE TABLE mine (x)'], down: ['DROP TABLE mine'] })`,
    `requireBackfill('2-fields')`,
  ],
} as const;

/** Puts other values into a declaration: at a literal, or for a part of it. */
function mutateDeclaration(random: Random, source: string): string {
  let out = source;
  const times = random.pick([0, 1, 1, 1, 2, 3]);
  for (let i = 0; i < times; i += 1) {
    const places = [...out.matchAll(/'(?:[^'\\]|\\.)*'|\btrue\b|\[[^[\]]*\]|\{[^{}]*\}|\b\d+\b/g)];
    const place = places.length > 0 ? random.pick(places) : undefined;
    if (!place) return anyValue(random);
    const value = random.chance(0.15) ? '' : anyValue(random);
    out = out.slice(0, place.index) + value + out.slice(place.index + place[0].length);
  }
  if (random.chance(0.1))
    out = out.replace(/\w+: /, () => `${random.pick(['__proto__', 'kind', 'name', "''", 'x'])}: `);
  return random.chance(0.05) ? anyValue(random) : out;
}

/** Projects whose config, or whose step, holds other values than it should. */
export const makeConfigs =
  (stages: readonly Stage[]): Make =>
  (random, folder) => {
    const path = join(folder, 'store.db');
    putImage(random.pick(stages).image, path);
    const isConfig = random.chance(0.5);
    const head = `import { defineBackfill, defineConfig, defineSchemaStep, defineSqlStep, firstOf, requireBackfill, sql } from ${api};\nexport default `;
    const config = isConfig ? mutateDeclaration(random, random.pick(TEMPLATES.config)) : TEMPLATES.config[0];
    const step = isConfig ? TEMPLATES.step[0] : mutateDeclaration(random, random.pick(TEMPLATES.step));
    mkdirSync(join(folder, 'steps'));
    writeFileSync(join(folder, 'umzug-backfill.config.mjs'), `${head}${config};\n`);
    writeFileSync(join(folder, 'steps', '9-step.mjs'), `${head}${step};\n`);
    const args = random.pick([
      ['status'],
      ['up', '--dry-run'],
      ['up', '--no-backup', '--allow-triggers', '--yes'],
      ['lint'],
      ['verify'],
      ['pending', '--json'],
      ['down', '--dry-run', '--to', '0'],
    ]);
    const on = random.chance(0.8) ? ['--db-path', path] : [];
    return [{ argv: [...args, ...on, '--log-level', 'silent'], folder: 'case' }];
  };
