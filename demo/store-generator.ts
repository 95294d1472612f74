import { existsSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { type HostilePayload, hostilePayloads } from './payload-forms.js';

export { type HostilePayload, hostilePayloads };

// Makes AgentOS stores at v20 for the demo, the tests and the benchmarks: same options, same rows.

export interface StoreOptions {
  /** The file to make; it must not exist yet. */
  readonly path: string;
  /** Rows of `task_audits`; their keys are 1 to `audits`. */
  readonly audits: number;
  /** Default 21. */
  readonly seed?: number;
  /** Default 'wal'. */
  readonly journalMode?: 'wal' | 'delete';
  /** Share of rows whose event type contains SUPERVISOR. Default 0.7. */
  readonly supervisorShare?: number;
  /** Share of the supervisor rows that take the forms of `hostilePayloads` in turn. Default 0.01. */
  readonly rareShare?: number;
  /** Only the columns that every store has, no AUTOINCREMENT, no other table but `schema_version`. Default false. */
  readonly smallSchema?: boolean;
  /**
   * Every payload takes 280 to 700 bytes, exactly 7 rows of 10 are in scope, each of the seven names is as frequent as any other, 15% of the
   * rows in scope have none, no payload is hostile, and 11 indexes exist rather than 12. Default false.
   */
  readonly wide?: boolean;
}

const versionSchema = `
  CREATE TABLE schema_version (version TEXT PRIMARY KEY, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
  INSERT INTO schema_version (version, applied_at) VALUES
    ('0.6.0', '2025-10-11 17:40:03'), ('0.9.0', '2025-11-05 09:31:27'), ('0.14.0', '2025-12-01 21:05:50'),
    ('0.19.0', '2026-01-09 11:22:18'), ('0.20.0', '2026-01-18 07:55:36');
`;

const smallAuditSchema = `CREATE TABLE task_audits (
  audit_id INTEGER PRIMARY KEY, event_type TEXT NOT NULL, payload TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);`;

const auditSchema = `
  CREATE TABLE tasks (
    task_id TEXT PRIMARY KEY, title TEXT, status TEXT DEFAULT 'created', created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
  );
  CREATE TABLE task_audits (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL,
    level TEXT DEFAULT 'info',
    event_type TEXT NOT NULL,
    payload TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    decision_id TEXT, verdict_id TEXT, repo_id TEXT,
    FOREIGN KEY (task_id) REFERENCES tasks(task_id)
  );
`;

const indexed = [
  ...['task_id', 'task_id, created_at', 'task_id, event_type', 'level', 'level, created_at', 'event_type'],
  ...['event_type, created_at', 'created_at', 'decision_id', 'verdict_id', 'repo_id', 'repo_id, created_at'],
];

const words = (text: string): readonly string[] => text.split(' ');
const supervisorTypes = words(
  'SUPERVISOR_ALLOWED SUPERVISOR_DECISION SUPERVISOR_PAUSED SUPERVISOR_BLOCKED SUPERVISOR_RETRY_RECOMMENDED SUPERVISOR_ERROR',
);
const oddSupervisorTypes = words('supervisor_decision Supervisor_Paused X_SUPERVISOR_Y TASK_SUPERVISOR');
const otherTypes = words('repo_commit TASK_CREATED TASK_STARTED TASK_COMPLETED TASK_FAILED');
// Words that a looser match than ASCII LIKE '%SUPERVISOR%' would take: U+017F folds to S in Unicode.
const oddOtherTypes = words('SUPERVISION_NOTE SUPERVISE_OR_SKIP \u017fUPERVISOR_DECISION');
const sourceNames = words('source_event_ts source_ts event_timestamp task_created_at none');
const processedNames = words('supervisor_processed_at processed_at timestamp none');
const findingKinds = words('scope budget secrets policy loop destructive_command');
const actionKinds = words('continue notify_owner pause_task request_review retry_step write_audit');
const sentences = [
  'The change stays inside the files that the task names.',
  'A command would delete files outside the workspace; confirmation is needed.',
  'The same test failed three times with the same message.',
  'The token budget of the task is used up to 92 percent.',
  'A secret-like string appears in the diff of config/settings.py.',
  'The plan skips the review step that the policy asks for.',
];

/**
 * Makes a store with `options.audits` rows, the same for the same options.
 *
 * @throws Error when the path exists or an option is out of range.
 */
export function generateStore(options: StoreOptions): void {
  const defaults = {
    seed: 21,
    journalMode: 'wal',
    supervisorShare: 0.7,
    rareShare: 0.01,
    smallSchema: false,
    wide: false,
  } as const;
  const settings = { ...defaults, ...options };
  const { path, audits, smallSchema } = settings;
  if (existsSync(path))
    throw new Error(`Expected no file at \`${path}\`: a store is only generated into a new file`);
  if (!Number.isSafeInteger(audits) || audits < 0) {
    throw new Error(`Expected \`audits\` to be a whole number of at least 0, got \`${audits}\``);
  }
  for (const name of ['supervisorShare', 'rareShare'] as const) {
    const share = settings[name];
    if (!(share >= 0 && share <= 1))
      throw new Error(`Expected \`${name}\` to be from 0 to 1, got \`${share}\``);
  }
  const database = new Database(path);
  try {
    // Nobody else sees the file before it is complete, so a crash may as well lose it.
    for (const fast of ['journal_mode = OFF', 'synchronous = OFF', 'foreign_keys = OFF'])
      database.pragma(fast);
    database.transaction(() => {
      database.exec(versionSchema + (smallSchema ? smallAuditSchema : auditSchema));
      if (!smallSchema) insertTasks(database, taskCount(audits));
      insertAudits(database, settings, mulberry32(settings.seed));
      // Made last, the indexes are sorted once instead of being kept in order row by row.
      for (const columns of smallSchema ? [] : indexed.slice(settings.wide ? 1 : 0)) {
        database.exec(
          `CREATE INDEX idx_task_audits_${columns.replaceAll(', ', '_')} ON task_audits (${columns})`,
        );
      }
    })();
    database.pragma(`journal_mode = ${settings.journalMode}`);
    database.close();
  } catch (error) {
    database.close();
    rmSync(path, { force: true });
    throw error;
  }
}

type Random = () => number;

/** Numbers from 0 up to 1; small, fast and the same everywhere. */
function mulberry32(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Draws one item, the first ones most. */
function pick(random: Random, items: readonly string[]): string {
  return items[Math.floor(random() * random() * items.length)] as string;
}

const taskCount = (audits: number): number => Math.ceil(audits / 40);
const startMs = Date.UTC(2026, 0, 20, 10);

function insertTasks(database: Database.Database, count: number): void {
  const insert = database.prepare(
    'INSERT INTO tasks (task_id, title, status, created_at) VALUES (?, ?, ?, ?)',
  );
  for (let index = 0; index < count; index += 1) {
    insert.run(taskId(index), `Task ${index + 1}`, 'completed', sqliteTime(startMs + index * 100_000));
  }
}

function insertAudits(database: Database.Database, settings: Required<StoreOptions>, random: Random): void {
  const columns = ['event_type', 'created_at'];
  if (!settings.smallSchema) columns.push('task_id', 'level', 'decision_id', 'verdict_id', 'repo_id');
  const into = `INSERT INTO task_audits (${columns.join(', ')}, payload) VALUES (${columns.map(() => '?').join(', ')}`;
  const insert = database.prepare(`${into}, ?)`);
  // The only way to TEXT that is not UTF-8: a bound Buffer is a BLOB, a bound string is always UTF-8.
  const insertBytes = database.prepare(`${into}, CAST(? AS TEXT))`);
  let rareCount = 0;
  let nowMs = startMs;
  for (let index = 0; index < settings.audits; index += 1) {
    nowMs += 1 + Math.floor(random() * 5_000);
    const isSupervisor = settings.wide ? index % 10 < 7 : random() < settings.supervisorShare;
    let rare: HostilePayload | undefined;
    if (isSupervisor && !settings.wide && random() < settings.rareShare) {
      // A stride through the list: a small store gets forms of every kind, a large one all of them.
      rare = hostilePayloads[(rareCount * 37) % hostilePayloads.length];
      rareCount += 1;
    }
    const decisionId = isSupervisor ? `dec_${hex(random)}${hex(random)}` : null;
    const make = settings.wide ? widePayload : isSupervisor ? supervisorPayload : otherPayload;
    const payload = make(random, decisionId, nowMs);
    const createdAt = createdAtText(random, nowMs);
    const values: unknown[] = [eventType(random, isSupervisor)];
    values.push(rare?.createdAt === undefined ? createdAt : rare.createdAt);
    if (!settings.smallSchema) {
      const verdictId = isSupervisor && random() < 0.3 ? `ver_${hex(random)}` : null;
      const repoId = random() < 0.5 ? `repo-${Math.floor(random() * 12)}` : null;
      const task = taskId(Math.floor(random() * taskCount(settings.audits)));
      values.push(task, pick(random, ['info', 'warn', 'error']), decisionId, verdictId, repoId);
    }
    (rare?.asText ? insertBytes : insert).run(...values, rare === undefined ? payload : rare.payload);
  }
}

function eventType(random: Random, isSupervisor: boolean): string {
  const isOdd = random() < 0.02;
  if (isSupervisor) return pick(random, isOdd ? oddSupervisorTypes : supervisorTypes);
  return pick(random, isOdd ? oddOtherTypes : otherTypes);
}

function supervisorPayload(random: Random, decisionId: string | null, nowMs: number): string {
  // Mostly seconds of lag, now and then an hour: what the decision-lag queries are after.
  const lagMs = Math.floor(-Math.log(1 - random()) * (random() < 0.01 ? 1_800_000 : 2_500));
  const time = (name: string, timeMs: number) =>
    name === 'none' ? {} : { [name]: payloadTime(random, timeMs) };
  const findings = Array.from({ length: Math.floor(random() * random() * 9) }, () => {
    const confidence = Math.round(random() * 100) / 100;
    return { kind: pick(random, findingKinds), confidence, message: pick(random, sentences) };
  });
  const actions = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
    return {
      action: pick(random, actionKinds),
      target: taskId(Math.floor(random() * 500)),
      params: { attempt: 1 },
    };
  });
  return JSON.stringify({
    decision_id: decisionId,
    decision_type: pick(random, ['ALLOW', 'PAUSE', 'BLOCK', 'RETRY']),
    ...time(pick(random, sourceNames), nowMs - lagMs),
    reason: `${pick(random, sentences)} ${pick(random, sentences)}`,
    findings,
    actions,
    // A later name beside an earlier one now and then: the order of the names counts, not where they stand.
    ...(random() < 0.1
      ? { ...time('timestamp', nowMs), ...time('task_created_at', nowMs - 86_400_000) }
      : {}),
    ...time(pick(random, processedNames), nowMs),
  });
}

function otherPayload(random: Random, _decisionId: string | null, nowMs: number): string {
  const time = isoTime(nowMs, 0);
  return JSON.stringify({
    commit: hex(random),
    files: Math.floor(random() * 30),
    timestamp: time,
    source_ts: time,
  });
}

/** A source name in each payload that has one, and a processed name in 3 of 4: so each of the seven is in a quarter of them. */
function widePayload(random: Random, decisionId: string | null, nowMs: number): string {
  const names: Record<string, string | number> = {};
  if (random() >= 0.15) {
    const [source, processed] = [Math.floor(random() * 4), Math.floor(random() * 4)];
    names[sourceNames[source] as string] = payloadTime(random, nowMs - Math.floor(random() * 60_000));
    if (processed < 3) names[processedNames[processed] as string] = payloadTime(random, nowMs);
  }
  const bytes = 280 + Math.floor(random() * random() * 421); // short ones most
  const head = { decision_id: decisionId, decision_type: pick(random, ['ALLOW', 'PAUSE', 'BLOCK', 'RETRY']) };
  const findings = [{ kind: pick(random, findingKinds), confidence: 0.5 }];
  const whole = (reason: string): string =>
    JSON.stringify({ ...head, findings, reason, ...names, actions: [] });
  const offset = Math.floor(random() * sentences.length);
  const text = [...sentences.slice(offset), ...sentences, ...sentences].join(' ');
  return whole(text.slice(0, bytes - whole('').length));
}

function payloadTime(random: Random, timeMs: number): string | number {
  const form = random();
  if (form >= 0.96) return form < 0.98 ? timeMs : timeMs / 1_000;
  return isoTime(timeMs, Math.floor(random() * 1_000)) + (form < 0.3 ? 'Z' : form < 0.4 ? '+00:00' : '');
}

/** The three forms that stores hold: ISO-8601 without or with an offset, and SQLite's CURRENT_TIMESTAMP. */
function createdAtText(random: Random, timeMs: number): string {
  const form = random();
  if (form < 0.1) return sqliteTime(timeMs);
  const microseconds = Math.floor(random() * 1_000);
  if (form < 0.13) return `${isoTime(timeMs + 7_200_000, microseconds)}+02:00`;
  return isoTime(timeMs, microseconds) + (form < 0.2 ? 'Z' : '');
}

function sqliteTime(timeMs: number): string {
  return isoTime(timeMs, 0).replace('T', ' ').slice(0, 19);
}

function isoTime(timeMs: number, microseconds: number): string {
  return new Date(timeMs).toISOString().slice(0, 23) + String(microseconds).padStart(3, '0');
}

function hex(random: Random): string {
  return Math.floor(random() * 4_294_967_296)
    .toString(16)
    .padStart(8, '0');
}

function taskId(index: number): string {
  return `task_${index.toString(36).padStart(6, '0')}`;
}
