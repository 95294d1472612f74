import { workerData } from 'node:worker_threads';

// A thread of beside-child.ts, which gives it the parent's PID: ends that process if its parent has ended, and the project's `process` still keeps the main thread from noticing.

/** Time that the main thread may take to stop by itself, in milliseconds. */
const GRACE_MS = 2000;

/** Interval between two looks at the parent, in milliseconds. */
const POLL_MS = 200;

const timer = setInterval(() => {
  if (process.ppid === workerData) return;
  clearInterval(timer);
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), GRACE_MS);
}, POLL_MS);
