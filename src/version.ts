/** A version as its numbers, most significant first. */
export type Version = readonly bigint[];

/** Digits in groups, with a `v` before and a suffix after that don't count. */
const VERSION_TEXT = /^v?(\d+(?:\.\d+)*)(?:[-+ a-z].*)?$/is;

/**
 * Reads a version's text, as `0.21.0`, `v0.21` or `0.21.0-rc1`.
 *
 * @returns its numbers, or undefined when it is no version
 */
export function parseVersion(text: unknown): Version | undefined {
  const digits = typeof text === 'string' ? VERSION_TEXT.exec(text)?.[1] : undefined;
  return digits?.split('.').map(BigInt);
}

/** Compares number by number; missing numbers are 0. Negative, zero or positive, as for sorting. */
export function compareVersions(a: Version, b: Version): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const [x, y] = [a[i] ?? 0n, b[i] ?? 0n];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}
