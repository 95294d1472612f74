import { createHash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';

/** Size and SHA-256 of a file. */
export interface Digest {
  readonly bytes: number;
  /** In hexadecimal. */
  readonly sha256: string;
}

/** Bytes that are read at once. */
const CHUNK_BYTES = 1 << 20;

/**
 * Reads a file from its first byte to its last.
 *
 * @param fd descriptor of the file
 * @param to descriptor of a new file to which it is copied. Default: none
 */
export function digestOf(fd: number, to?: number): Digest {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let bytes = 0;
  for (;;) {
    const count = readSync(fd, chunk, 0, chunk.length, bytes);
    if (count === 0) return { bytes, sha256: hash.digest('hex') };
    const read = chunk.subarray(0, count);
    hash.update(read);
    for (let done = 0; to !== undefined && done < count; )
      done += writeSync(to, read, done, count - done, bytes + done);
    bytes += count;
  }
}
