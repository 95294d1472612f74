/** The numbers of a version, most significant first. */
export type Version = readonly bigint[];

/** Groups of digits; a leading `v` and a suffix are ignored. */
const VERSION_TEXT = /^v?(\d+(?:\.\d+)*)(?:[-+ a-z].*)?$/is;

/**
 * Parses a version such as `0.21.0`, `v0.21` or `0.21.0-rc1`.
 *
 * @returns its numbers; undefined if the text is not a version
 */
export function parseVersion(text: unknown): Version | undefined {
  const digits = typeof text === 'string' ? VERSION_TEXT.exec(text)?.[1] : undefined;
  return digits?.split('.').map(BigInt);
}

/** Compares two versions for sorting, number by number; missing numbers are 0. */
export function compareVersions(a: Version, b: Version): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const [x, y] = [a[i] ?? 0n, b[i] ?? 0n];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}
