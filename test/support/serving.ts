import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import type pg from 'pg';
import { endedAfterEach, root } from './cli.js';
import { lockWaits } from './lock-waits.js';

// An application that serves HTTP while it migrates its database, as a test sees it from outside.

/** How the values of the table are derived. */
export type Way = 'firstOf' | 'sql' | 'process';

/** What the application is started with. */
export interface Serving {
  readonly url: string;
  readonly way: Way;
}

/** What it is told to do. */
export interface Order {
  readonly run: 'up' | 'status' | 'verify' | 'down';
  /** SQL of a transaction of its own, before the command begins and when that waits for it. */
  readonly beside?: readonly [string, string];
}

/** How a command has ended. */
export interface Settled {
  /** Of the error, if there was one. */
  readonly code?: string;
  readonly message?: string;
  /** Whether its own transaction was committed while the command waited for it. */
  readonly hasCommittedMeanwhile?: boolean;
}

/** What it answers to each request. */
export interface Answer {
  /** Whether the command is under way. */
  readonly isPending: boolean;
}

/** Makes its table: 200 rows, and an index for nothing but the key. */
export const EVENTS = `CREATE TABLE events (id bigint PRIMARY KEY, made text, body text);
  INSERT INTO events SELECT n, '2026-01-20 10:00:00', '{"ts": "at ' || n || '"}' FROM generate_series(1, 200) AS n`;

/** How many rows are not as they are to be. */
export const UNFILLED = `SELECT count(*) FROM events WHERE at IS DISTINCT FROM 'at ' || id`;

async function startServing(serving: Serving) {
  const child = fork(join(root, 'dist/test/support/serving-app.js'), [JSON.stringify(serving)], {
    cwd: root,
  });
  const closed = once(child, 'close');
  const told = async (): Promise<unknown> => {
    const ended = closed.then(([code]) => expect.fail(`the application has ended with ${code}`));
    const [message] = await Promise.race([once(child, 'message'), ended]);
    return message;
  };
  const port = Number(await told());
  const agent = new Agent({ keepAlive: true });
  return {
    /** Starts a command; the promise of its end comes wrapped, so that only its start is waited for. */
    begin(order: Order): { readonly settled: Promise<Settled> } {
      const settled = told() as Promise<Settled>;
      settled.catch(() => undefined); // whoever waits for it is told
      child.send(order);
      return { settled };
    },
    /** Aborts the signal that its migrator was given. */
    stop: () => void child.send('stop'),
    /** One request. */
    ask: () =>
      new Promise<Answer>((resolve, reject) => {
        const asked = request({ port, agent }, async (response) => {
          let text = '';
          for await (const part of response.setEncoding('utf8')) text += part;
          resolve(JSON.parse(text) as Answer);
        });
        asked.once('error', reject).end();
      }),
    async end(): Promise<void> {
      agent.destroy();
      child.kill('SIGKILL');
      await closed;
    },
  };
}

/** Such an application under way. */
export type App = Awaited<ReturnType<typeof startServing>>;

/** Starts such applications; they are ended after each test. */
export const useServing = () => endedAfterEach(startServing);

/**
 * Insists that the application answers while a statement of its command waits for a lock: the same statement waits before the request
 * and after the answer. One whose thread is stopped answers between two statements, or behind the end of its command.
 */
export async function expectAnswers(app: App, client: pg.ClientBase, count = 20): Promise<void> {
  let [asked, answered] = [0, 0];
  while (answered < count) {
    const before = await lockWaits(client);
    const { isPending } = await app.ask();
    const after = await lockWaits(client);
    asked += before.length > 0 ? 1 : 0;
    expect(
      isPending,
      `the command is under way; of ${asked} requests in a wait, ${answered} were answered in it`,
    ).to.equal(true);
    if (before.some((wait) => after.includes(wait))) answered += 1;
  }
}
