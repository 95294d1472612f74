/** SIGINT and SIGTERM as an abort signal. */
export interface SignalHandlers {
  /** Aborted by the first signal; its `reason` is the name of that. */
  readonly signal: AbortSignal;
  /** Handles signals from now on. */
  add(): void;
  /** Restores the default: a signal ends the process at once. */
  remove(): void;
}

const HANDLED_SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Returns handlers that are not added yet. A second signal, of either kind, ends the process at once. */
export function signalHandlers(): SignalHandlers {
  const stopper = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    remove();
    stopper.abort(name);
  };
  const remove = (): void => {
    for (const name of HANDLED_SIGNALS) process.removeListener(name, stop);
  };
  return {
    signal: stopper.signal,
    add() {
      for (const name of HANDLED_SIGNALS) process.on(name, stop);
    },
    remove,
  };
}
