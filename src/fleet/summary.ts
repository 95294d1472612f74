import { EXIT } from '../errors.js';
import type { PlainText } from '../messages/message.js';
import type { StoreResult } from './pool.js';

/** Exit codes, worst first. */
const SEVERITY: readonly number[] = [
  EXIT.failed,
  EXIT.usage,
  EXIT.unverified,
  EXIT.locked,
  EXIT.terminated,
  EXIT.interrupted,
  EXIT.pending,
  EXIT.done,
];

/** Returns the worst exit code of a fleet; 0 without results. */
export function worstExit(results: readonly StoreResult[]): number {
  return SEVERITY.find((code) => results.some(({ exitCode }) => exitCode === code)) ?? EXIT.done;
}

/** Counts the stores by exit code, worst first. */
export function countByExit(
  results: readonly StoreResult[],
): readonly (readonly [exitCode: number, stores: number])[] {
  return SEVERITY.map(
    (code) => [code, results.filter(({ exitCode }) => exitCode === code).length] as const,
  ).filter(([, stores]) => stores > 0);
}

const EXIT_LABELS: Readonly<Record<number, PlainText>> = {
  [EXIT.done]: 'done',
  [EXIT.failed]: 'failed',
  [EXIT.usage]: 'failed',
  [EXIT.pending]: 'work pending',
  [EXIT.locked]: 'locked',
  [EXIT.unverified]: 'unverified',
  [EXIT.interrupted]: 'stopped',
  [EXIT.terminated]: 'stopped',
};

/** Returns a label for an exit code. */
export const exitLabel = (exitCode: number): PlainText => EXIT_LABELS[exitCode] ?? 'failed';
