import { copyFileSync, cpSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { generateStore } from '../../demo/store-generator.js';
import { differences } from './expect-same.js';
import { pointsOf } from './failpoints.js';
import { type Mode, modes, on } from './on-store.js';
import { actualCells, type Cells, expectedCells } from './reference.js';
import { stateOf } from './store-state.js';
import { asAgentOs } from './stores.js';

// What the crash test kills: each command on a store that has something for it to do, made once and copied for each kill.

/** How large the stores are. */
interface SceneSize {
  readonly audits: number;
  readonly batchRows: number;
  /** Whether to make no variants. Default false. */
  readonly isPlain?: boolean;
}

export const storeIn = (folder: string): string => join(folder, 'store.db');

/** Rows that an application still at v20 wrote meanwhile: as the first ones, under new keys. */
const lateRows = (count: number): string => `INSERT INTO task_audits
    (task_id, level, event_type, payload, created_at, decision_id, verdict_id, repo_id)
  SELECT task_id, level, event_type, payload, created_at, decision_id, verdict_id, repo_id
  FROM task_audits WHERE audit_id <= ${count} ORDER BY audit_id`;

/** Makes the scenes of both journal modes in a folder, and runs each of them once. */
export async function makeScenes(folder: string, size: SceneSize): Promise<Scene[]> {
  const scenes: Scene[] = [];
  for (const mode of modes) scenes.push(...(await makeMode(join(folder, mode), mode, size)));
  return scenes;
}

async function makeMode(folder: string, mode: Mode, size: SceneSize): Promise<Scene[]> {
  const make = (name: string): string => {
    mkdirSync(join(folder, name), { recursive: true });
    return join(folder, name);
  };
  const [v20, v21] = [make('v20'), make('v21')];
  generateStore({ path: storeIn(v20), audits: size.audits, rareShare: 0.1, journalMode: mode });
  copyFileSync(storeIn(v20), storeIn(v21));
  await on(storeIn(v21)).run(['up', '--batch-size', String(size.batchRows)]);
  const [backup = ''] = readdirSync(v21).filter((name) => name.includes('.backup-'));

  const original = actualCells(storeIn(v20));
  const plan = { mode, size, original };
  const late = make('late');
  copyFileSync(storeIn(v21), storeIn(late));
  asAgentOs(storeIn(late), (db) => db.exec(lateRows(size.audits * 0.4)));

  const from = (source: string, name: string): string => {
    const to = make(name);
    copyFileSync(storeIn(source), storeIn(to));
    return to;
  };
  const restoring = (name: string, file: string, prepare = ''): string => {
    const to = from(v21, name);
    copyFileSync(join(v21, backup), join(to, file));
    asAgentOs(join(to, file), (db) => db.exec(prepare));
    return to;
  };
  const given = 'given.db';
  const scenes = [
    await rehearse(plan, 'up', from(v20, 'up')),
    await rehearse(plan, 'down', from(v21, 'down'), ['--to', '0', '--yes']),
    await rehearse(plan, 'backfill', late),
    // By its name: a restore that was killed may have brought back a store that has no ledger to know it by.
    await rehearse(plan, 'restore', restoring('restore', given), [given]),
  ];
  if (size.isPlain) return scenes;
  for (const [variant, prepare] of [
    ['of the other journal mode', `PRAGMA journal_mode = ${mode === 'wal' ? 'DELETE' : 'WAL'}`],
    [
      'of another page size',
      `PRAGMA journal_mode = DELETE; PRAGMA page_size = 8192; VACUUM; PRAGMA journal_mode = ${mode}`,
    ],
  ] as const) {
    const folder = restoring(variant.replaceAll(' ', '-'), given, prepare);
    scenes.push(await rehearse(plan, 'restore', folder, [given], variant));
  }
  return scenes;
}

/** Runs a command to its end on a copy of its store, which stands in `folder`, and insists that what it did is right. */
async function rehearse(
  { mode, size, original }: { mode: Mode; size: SceneSize; original: Map<string, Cells> },
  command: 'up' | 'down' | 'backfill' | 'restore',
  folder: string,
  extra: readonly string[] = [],
  variant = '',
) {
  /** The command line on a copy of the folder. */
  const argsIn = (copy: string): string[] => [
    command,
    ...extra.map((word) => (word.endsWith('.db') ? join(copy, word) : word)),
    ...['--db-path', storeIn(copy), '--batch-size', String(size.batchRows), '--lock-timeout', '0'],
  ];
  const copy = `${folder}-rehearsed`;
  cpSync(folder, copy, { recursive: true });
  const before = stateOf(storeIn(copy));
  const expected = expectedCells(storeIn(copy));
  const points = await pointsOf(argsIn(copy), `${folder}-points`);
  const after = stateOf(storeIn(copy));

  expect(after['the journal mode']).to.deep.equal(before['the journal mode']);
  if (command === 'up' || command === 'backfill') {
    expect(actualCells(storeIn(copy)), command).to.deep.equal(expected);
  } else {
    const v20 = stateOf(join(folder, '..', 'v20', 'store.db'));
    expect(differences(after, v20), `${command} ${variant}`).to.deep.equal([]);
  }
  return { command, variant, mode, folder, argsIn, before, after, original, points };
}

/** One command on one store, what that holds before and after it, and the failpoints that it passes. */
export type Scene = Awaited<ReturnType<typeof rehearse>>;
