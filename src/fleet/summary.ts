import { EXIT } from '../errors.js';
import type { StoreResult } from './pool.js';

/** Exit codes, the gravest first. */
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

/** The gravest exit code of a fleet; 0 of none. */
export function worstExit(results: readonly StoreResult[]): number {
  return SEVERITY.find((code) => results.some(({ exitCode }) => exitCode === code)) ?? EXIT.done;
}

/** How many stores ended with each exit code, the gravest first. */
export function countByExit(
  results: readonly StoreResult[],
): readonly (readonly [exitCode: number, stores: number])[] {
  return SEVERITY.map(
    (code) => [code, results.filter(({ exitCode }) => exitCode === code).length] as const,
  ).filter(([, stores]) => stores > 0);
}

/** What an exit code says of a store. */
const EXIT_LABELS: Readonly<Record<number, string>> = {
  [EXIT.done]: 'done',
  [EXIT.failed]: 'failed',
  [EXIT.usage]: 'failed',
  [EXIT.pending]: 'work pending',
  [EXIT.locked]: 'locked',
  [EXIT.unverified]: 'unverified',
  [EXIT.interrupted]: 'stopped',
  [EXIT.terminated]: 'stopped',
};

/** How a store ended, in a word or two. */
export const exitLabel = (exitCode: number): string => EXIT_LABELS[exitCode] ?? 'failed';
