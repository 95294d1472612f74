import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  has,
  inTurn,
  type Kind,
  middle,
  type Run,
  root,
  type StoreName,
  type Taken,
  time,
  up,
} from './measure.js';
import { compared, memory, missing, type Row } from './report.js';

/** A whole `up` against what is run by hand. */

const script = join(root, 'bench/rival.sql');
const [fill, verify] = ['rival.sql', 'rival-verify.sql'].map((file) =>
  readFileSync(join(root, 'bench', file), 'utf8'),
) as [string, string];

/** Runs a script in the shell. */
const shell = (store: string, sql: string): Promise<Run> => time('sqlite3', ['-bail', store], { input: sql });

const fillByHand = (store: string): Promise<Run> => shell(store, fill);

const plus = (a: Taken, b: Taken): Taken => ({ seconds: a.seconds + b.seconds, cpu: a.cpu + b.cpu });

/** Measures `up` against the shell, without and with verification, and in rollback mode. */
export async function shellRows(store: StoreName, audits: number, rounds: number): Promise<Row[]> {
  const what = 'whole `up` with verification, against the shell’s DDL and UPDATE';
  if (!has('sqlite3')) return [missing(what, 'sqlite3')];
  const kind: Kind = { audits, store };
  const verifications: Taken[] = [];
  const byHand = async (path: string): Promise<Run> => {
    const run = await fillByHand(path);
    verifications.push(plus(run, await shell(path, verify)));
    return run;
  };
  const [ours = [], hand = []] = await inTurn(kind, rounds, [up, byHand]);
  const delete_ = await inTurn({ ...kind, journalMode: 'delete' }, rounds, [up, fillByHand]);
  const [oursDelete, handDelete] = delete_.map(middle) as [Taken, Taken];
  return [
    compared(what, middle(ours), middle(hand), { time: 1, cpu: 1.6 }),
    compared('the same, with verification SQL after the shell’s', middle(ours), middle(verifications), {
      time: 0.65,
    }),
    compared('the same without that, rollback journal', oursDelete, handDelete, { time: 1.2 }),
    memory('peak memory of `up`', Math.max(...ours.map(({ peakMib }) => peakMib)), 130),
  ];
}

/** Measures `up` against a script that parses each payload in the program. */
export async function scriptRows(store: StoreName, audits: number, rounds: number): Promise<Row[]> {
  const what = 'whole `up`, against a script that selects the first NULLs';
  if (!has('python3')) return [missing(what, 'python3')];
  const byScript =
    (...flags: readonly string[]) =>
    (path: string) =>
      time('python3', [join(root, 'bench/rival.py'), path, script, ...flags]);
  const runs = await inTurn({ audits, store }, rounds, [up, byScript(), byScript('--by-key')]);
  const [ours, first, byKey] = runs.map(middle) as [Taken, Taken, Taken];
  return [
    compared(what, ours, first, { time: 0.4 }),
    compared('whole `up`, against a script that continues by key', ours, byKey, {}),
  ];
}
