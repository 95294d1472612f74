import { printLines, safeStream } from '../cli/print.js';
import { loadProject } from '../config.js';
import { rootBackfillError } from '../errors.js';
import { takePart } from '../migrator/change.js';
import { learnSecrets } from '../secrets.js';
import type { HelperTask } from './helpers.js';

/** A process that takes part in a run which another one leads, and ends with it. */

const stderr = safeStream(process.stderr);
const stopper = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopper.abort(name));

let isDone = false;
process.on('disconnect', () => {
  if (isDone) return;
  const text = 'The process that leads the run has ended; what is left is for the next `up`';
  printLines(stderr, [`${text}.`]);
  stopper.abort('SIGTERM');
});

process.once('message', async ({ folder, postgres, trustsConfig, ...options }: HelperTask) => {
  learnSecrets([postgres.url], process.env);
  try {
    const migrator = {
      ...options,
      project: await loadProject(folder, { trustsConfig }),
      signal: stopper.signal,
    };
    const { postgresSite } = await import('../store/postgres/site.js');
    const site = postgresSite(postgres, stopper.signal);
    await site.share(() => takePart({ ...migrator, postgres, site }, []));
  } catch (error) {
    const { code, message } = rootBackfillError(error);
    // The others go on, and whoever leads tells what they can't: this one only says why it is not among them any more.
    if (!stopper.signal.aborted) printLines(stderr, [`${code}: ${message}.`]);
    process.exitCode = 1;
  } finally {
    isDone = true;
    if (process.connected) process.disconnect();
  }
});
