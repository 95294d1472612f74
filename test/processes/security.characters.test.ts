import { expect } from 'chai';
import fc from 'fast-check';
import { before, describe, it } from 'mocha';
import { collector, runCli } from '../support/cli.js';
import { ENGINES, needEngine, type TestStore } from '../support/engines.js';
import { expectSafe, hostileTexts } from '../support/hostile-texts.js';
import { name as BACKFILL } from '../support/migrate.js';

// Every command, in every form of its output, on stores that hold hostile text wherever text of others can be.

const named = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const set = (table: string, values: Readonly<Record<string, string>>, where = ''): string =>
  `UPDATE umzug_backfill_${table} SET ${Object.entries(values)
    .map(([column, text]) => `${column} = ${quoted(text)}`)
    .join(', ')} ${where}`;
const step = (name: string, kind: string): string =>
  `INSERT INTO umzug_backfill_steps (name, kind, status, fingerprint, package_version, started_at, applied_at)
   VALUES (${quoted(name)}, '${kind}', 'applied', 'x', '0.1.0', '2026-01-01', '2026-01-01')`;

/** SQL that puts a text where a store or its ledger holds text of others. */
const POSITIONS: Readonly<Record<string, (text: string) => string>> = {
  'an event type': (text) =>
    `UPDATE task_audits SET event_type = ${quoted(`SUPERVISOR${text}`)} WHERE audit_id <= 2`,
  'a payload': (text) =>
    `UPDATE task_audits SET payload = ${quoted(JSON.stringify({ source_event_ts: text }))}, source_event_ts = NULL
     WHERE audit_id <= 9`,
  'a cell': (text) =>
    `UPDATE task_audits SET source_event_ts = ${quoted(`2026-01-20T10:00:00Z${text}`)} WHERE audit_id <= 9`,
  'the name of a step': (text) => step(text, 'external'),
  'the name of a backfill': (text) =>
    [...['runs', 'batches', 'skips', 'cells', 'verifications'].map((table) => set(table, { backfill: text }))]
      .concat(step(text, 'backfill'))
      .join(';'),
  'a version of this package': (text) => set('steps', { package_version: text }),
  'the times of steps': (text) => set('steps', { started_at: text, applied_at: text }),
  'the kind of steps': (text) => set('steps', { kind: text }),
  'the status of steps': (text) => set('steps', { status: text }),
  'the kind of runs': (text) => set('runs', { kind: text }),
  'the watermark of runs': (text) => set('runs', { watermark: text, status: 'running' }),
  'the cursor of ranges': (text) => set('ranges', { cursor: text, end_key: text }),
  skips: (text) =>
    `INSERT INTO umzug_backfill_skips (backfill, key, target, reason, batch)
     VALUES ('${BACKFILL}', ${quoted(`'${text}`)}, ${quoted(text)}, ${quoted(text)}, 1)`,
  'a verdict': (text) => set('verifications', { verdict: text, verified_at: text }),
  checks: (text) =>
    set('verifications', {
      checks: JSON.stringify([{ id: text, title: text, verdict: text, findings: [{ text, verdict: text }] }]),
    }),
  commands: (text) => set('commands', { command: text, backup: text, steps: JSON.stringify([text]) }),
  objects: (text) =>
    set(
      'objects',
      { name: text, kind: 'column' },
      `WHERE name = (SELECT min(name) FROM umzug_backfill_objects)`,
    ),
  'the keys of batches': (text) => set('batches', { first_key: text, last_key: text, committed_at: text }),
  'the columns of cells': (text) => set('cells', { columns: JSON.stringify([text]) }, 'WHERE batch = 1'),
  'a declaration': (text) => set('declarations', { declaration: text, fingerprint: text }),
  'a later version': (text) => `INSERT INTO schema_version (version) VALUES (${quoted(`0.99${text}`)})`,
  'an earlier version': (text) =>
    `DELETE FROM umzug_backfill_steps; DELETE FROM schema_version;
     INSERT INTO schema_version (version) VALUES (${quoted(`0.1${text}`)})`,
  'an index': (text) =>
    `DROP INDEX idx_task_audits_source_event_ts;
     CREATE INDEX ${named(text)} ON task_audits (source_event_ts) WHERE source_event_ts IS NOT NULL`,
  'a view': (text) => `CREATE VIEW ${named(text)} AS SELECT source_event_ts FROM task_audits`,
  'a column': (text) => `ALTER TABLE task_audits ADD COLUMN ${named(text)} TEXT`,
};

const trigger = (text: string, isSqlite: boolean): string =>
  isSqlite
    ? `CREATE TRIGGER ${named(text)} AFTER UPDATE ON task_audits BEGIN SELECT 1; END`
    : `CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       CREATE TRIGGER ${named(text)} BEFORE UPDATE ON task_audits FOR EACH ROW EXECUTE FUNCTION f()`;

const LOOKS: readonly (readonly string[])[] = [
  ['status'],
  ['verify'],
  ['skips'],
  ['executed'],
  ['up', '--dry-run'],
  ['down', '--dry-run', '--to', '0', '--yes'],
  ['backfill', BACKFILL, '--rescan', '--dry-run'],
];

const CHANGES: readonly (readonly string[])[] = [
  ['backfill', '--lock-timeout', '0'],
  ['up', '--lock-timeout', '0'],
  ['down', '--to', '0', '--yes', '--lock-timeout', '0'],
];

type Form = 'text' | 'json' | 'zh' | 'terminal';
const FORMS: readonly Form[] = ['text', 'json', 'zh', 'terminal'];
const WORDS: Readonly<Record<Form, readonly string[]>> = {
  text: [],
  json: ['--json'],
  zh: ['--lang', 'zh'],
  terminal: [],
};

const targetOf = ({ address: { path, postgres } }: TestStore): readonly string[] =>
  postgres ? ['--database-url', postgres.url] : ['--db-path', path];

async function tell(store: TestStore, args: readonly string[], form: Form): Promise<void> {
  const isTerminal = form === 'terminal';
  const stderr = Object.assign(collector(), isTerminal ? { isTTY: true, columns: 100 } : {});
  const words = [...args, ...WORDS[form], '--log-level', 'debug', ...targetOf(store)];
  const { stdout, json } = await runCli(words, { stderr, env: { CI: '' } });
  const what = words.join(' ');
  expectSafe(stdout, what);
  expectSafe(stderr.text, what, { isTerminal });
  if (form === 'json') expect(json, stdout).not.to.throw();
  if (isTerminal) return;
  for (const line of stderr.text.split('\n').filter((text) => text.startsWith('{')))
    expect(() => JSON.parse(line), line).not.to.throw();
}

for (const engine of ENGINES)
  describe(`hostile text in a store of ${engine.name}`, () => {
    before(function () {
      needEngine(this, engine);
    });

    for (const [position, sqlOf] of [
      ...Object.entries(POSITIONS),
      ['a trigger', (text: string) => trigger(text, engine.name === 'SQLite')] as const,
    ])
      it(`reaches no terminal and forges no line: in ${position}`, () =>
        engine.withStore({ audits: 40 }, async (store) => {
          const made = await runCli(['up', ...targetOf(store)]);
          expect(made.code, made.stderr).to.equal(0);
          // SQL has no NUL.
          const [sampled = ''] = fc.sample(hostileTexts, 1);
          await store.change(sqlOf(sampled.replaceAll('\u0000', '')));
          for (const args of LOOKS) for (const form of FORMS) await tell(store, args, form);
          const [first = ''] = fc.sample(fc.constantFrom(...FORMS), 1);
          for (const [i, args] of CHANGES.entries())
            await tell(store, args, FORMS[(i + FORMS.indexOf(first as Form)) % FORMS.length] as Form);
        }));
  });
