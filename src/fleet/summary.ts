import { EXIT } from '../errors.js';
import type { StoreResult } from './pool.js';

/** Exit codes, the gravest first. */
const GRAVITY: readonly number[] = [
  EXIT.failed,
  EXIT.usage,
  EXIT.unverified,
  EXIT.locked,
  EXIT.terminated,
  EXIT.interrupted,
  EXIT.pending,
  EXIT.done,
];

/** The gravest exit code of a fleet; 0 of none. */
export function worstExit(results: readonly StoreResult[]): number {
  return GRAVITY.find((code) => results.some(({ exitCode }) => exitCode === code)) ?? EXIT.done;
}

/** How many stores ended with each exit code, the gravest first. */
export function countByExit(
  results: readonly StoreResult[],
): readonly (readonly [exitCode: number, stores: number])[] {
  return GRAVITY.map(
    (code) => [code, results.filter(({ exitCode }) => exitCode === code).length] as const,
  ).filter(([, stores]) => stores > 0);
}
