/** Slowest rows that are kept, with their keys. */
const SLOWEST = 10;

/** Figures of the seconds between two columns, over all rows where both are timestamps. */
export interface LagFigures {
  readonly count: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
  readonly p99Seconds: number;
  readonly maxSeconds: number;
  readonly slowest: readonly { readonly key: string; readonly seconds: number }[];
}

/** Gathers lags; eight bytes a row, sorted once at the end. */
export class LagStatistics {
  #values = new Float64Array(1024);
  #count = 0;
  readonly #slowest: { key: bigint; seconds: number }[] = [];

  /** @param seconds from the first column's time to the second's; negative when the second is earlier */
  add(seconds: number, key: bigint): void {
    if (this.#count === this.#values.length) {
      const grown = new Float64Array(this.#values.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#count] = seconds;
    this.#count += 1;
    const last = this.#slowest.at(-1);
    if (this.#slowest.length === SLOWEST && last && seconds <= last.seconds) return;
    this.#slowest.push({ key, seconds });
    this.#slowest.sort((a, b) => b.seconds - a.seconds);
    this.#slowest.length = Math.min(this.#slowest.length, SLOWEST);
  }

  /** The figures, or undefined when no row had both timestamps. Percentiles are nearest-rank. */
  figures(): LagFigures | undefined {
    if (this.#count === 0) return undefined;
    const sorted = this.#values.subarray(0, this.#count).sort();
    const at = (share: number): number =>
      round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
    return {
      count: this.#count,
      p50Seconds: at(0.5),
      p95Seconds: at(0.95),
      p99Seconds: at(0.99),
      maxSeconds: at(1),
      slowest: this.#slowest.map(({ key, seconds }) => ({ key: String(key), seconds: round(seconds) })),
    };
  }
}

/** To microseconds: beyond that a difference of two doubles is noise. */
const round = (seconds: number): number => Math.round(seconds * 1e6) / 1e6;
