import { spawnSync } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';

// Loaded by `node --import` before the command line, in tests alone: the package itself reads no such variable.
// UMZUG_BACKFILL_FAILPOINT is JSON:
//   { "record": FILE }                      appends `at<TAB>detail` for every point that is passed
//   { "nth": 3 } or { "at": "copy", "detail": "made", "nth": 1 }   which point is meant: the nth of those that match;
//                                           `detail` matches the beginning
//   with "run": [COMMAND, ...]              runs the command there and waits for it, else
//                                           the process ends itself by SIGKILL

const { record, at, detail, nth = 1, run } = JSON.parse(process.env.UMZUG_BACKFILL_FAILPOINT ?? '{}');
let passed = 0;

subscribe('umzug-backfill:failpoint', (point) => {
  if (record !== undefined) {
    appendFileSync(record, `${point.at}\t${point.detail.replaceAll(/\s+/g, ' ')}\n`);
    return;
  }
  if (at !== undefined && point.at !== at) return;
  if (detail !== undefined && !point.detail.trimStart().startsWith(detail)) return;
  passed += 1;
  if (passed !== nth) return;
  if (run === undefined) process.kill(process.pid, 'SIGKILL');
  else spawnSync(run[0], run.slice(1), { stdio: 'inherit' });
});
