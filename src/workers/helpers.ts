import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { MigratorOptions } from '../migrator/session.js';
import type { TrustsCode } from '../steps/trusted.js';
import type { PostgresAddress } from '../store/postgres/address.js';

/** What a helper is told: it loads the project itself, and gets no password by its arguments. */
export interface HelperTask
  extends Pick<
      MigratorOptions,
      'path' | 'batchRows' | 'targetBatchMs' | 'pace' | 'allowsTriggers' | 'isConfirmed'
    >,
    TrustsCode {
  readonly postgres: PostgresAddress;
  /** Folder of the config file. */
  readonly folder: string;
}

/**
 * Processes of this machine that take part in a run, started with its first batch. Each ends by itself when nothing is left; one that
 * is lost leaves its share to the others.
 */
export class Helpers {
  readonly #task: HelperTask;
  readonly #children = new Set<ChildProcess>();
  readonly #warn: (text: string) => void;
  #isStopped = false;

  /** @param warn told of each that is killed, but by {@link stop} */
  constructor(task: HelperTask, warn: (text: string) => void) {
    this.#task = task;
    this.#warn = warn;
  }

  /** Starts so many, unless there are some already. */
  start(count: number): void {
    if (this.#children.size > 0) return;
    for (let i = 0; i < count; i += 1) {
      const child = fork(fileURLToPath(new URL('./helper-process.js', import.meta.url)), [], {
        cwd: this.#task.folder,
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      this.#children.add(child);
      child.on('error', () => this.#children.delete(child)); // it could not be started: the others take its share
      child.once('exit', (_code, signal) => {
        this.#children.delete(child);
        if (signal !== null && !this.#isStopped)
          this.#warn(`The worker ${child.pid} was killed by ${signal}; the other processes do its part`);
      });
      child.send(this.#task);
    }
  }

  /** Lets those that are still at work stop behind their batch. */
  stop(signal: NodeJS.Signals): void {
    this.#isStopped = true;
    for (const child of this.#children) child.kill(signal);
  }
}
