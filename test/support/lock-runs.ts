import { hostname } from 'node:os';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { type BackfillError, defineSqlStep } from '../../src/index.js';
import { endedAfterEach } from './cli.js';
import { readLedger } from './ledger.js';
import { commandsOf, type Extra, type MigratorEvent, named, projectOf } from './project.js';

// Runs in this process that keep the run lock of a store, or do not get it.

const STEP = '001-made';
const project = projectOf([
  named(STEP, defineSqlStep({ up: ['CREATE TABLE made (id)'], down: ['DROP TABLE made'] })),
]);

/** Makes a store without anything of ours. */
export const makeStore = (path: string): void =>
  void new Database(path).exec('CREATE TABLE own (id)').close();

/** The commands of a project with one step, which wait for nobody. */
export const commandsOn = (path: string) =>
  commandsOf(project, { path }, { backup: false, lockTimeoutMs: 0 });

type Changing = 'up' | 'down';
/** The command that has something to do. */
export const changing = (path: string): Changing =>
  readLedger(path).step(STEP)?.status === 'applied' ? 'down' : 'up';

/** A clock that stands still. */
export const at = (time: string) => ({ now: () => new Date(time) });
/** This process as it has the lock. */
export const heldSince = (since: string) => ({ pid: process.pid, host: hostname(), since });

/** What begins runs that keep the lock until they are told to go on to their end; after each test all are. */
export const useRuns = () =>
  endedAfterEach(async (path: string, extra: Extra = {}) => {
    let goOn = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let run: Promise<unknown> | undefined;
    await new Promise<void>((resolve, reject) => {
      const umzug: Extra['umzug'] = {
        command: async (_direction, act) =>
          await act(async ({ steps, run: runStep }) => {
            resolve();
            await gate;
            for (const step of steps) await runStep(step);
          }),
      };
      run = commandsOn(path)[changing(path)]({}, { ...extra, umzug });
      run.catch(reject);
    });
    const end = async (): Promise<void> => {
      goOn();
      expect(await run).not.to.have.property('error');
    };
    return { end };
  });

/** Insists that another run has the lock. */
export async function refused(path: string, extra: Extra = {}): Promise<BackfillError> {
  const thrown: unknown = await commandsOn(path)
    [changing(path)]({}, extra)
    .catch((error: unknown) => error);
  expect(thrown).to.include({ name: 'BackfillError', code: 'RUN_LOCKED', exitCode: 4 });
  return thrown as BackfillError;
}

/** What of a run's events is about a wait. */
export function waits() {
  const told: MigratorEvent[] = [];
  let hasTold = (): void => undefined;
  const first = new Promise<void>((resolve) => {
    hasTold = resolve;
  });
  const onEvent = (event: MigratorEvent): void => {
    if (event.event !== 'lock_waiting') return;
    told.push(event);
    hasTold();
  };
  return { told, first, onEvent };
}
