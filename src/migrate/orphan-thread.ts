import { workerData } from 'node:worker_threads';

// A worker thread of the child process in call-process.ts. Its data is the PID of the parent. If the parent ends while a function of the step keeps
// the main thread from noticing, the thread ends the process.

/** Time that the main thread may take to stop by itself, in milliseconds. */
const GRACE_MS = 2000;

/** Interval between two checks of the parent, in milliseconds. */
const POLL_MS = 200;

const timer = setInterval(() => {
  if (process.ppid === workerData) return;
  clearInterval(timer);
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), GRACE_MS);
}, POLL_MS);
