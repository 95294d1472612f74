/** Random numbers that a seed repeats (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** The random numbers of one case: a case can be repeated without those before it. */
  static of(seed: number, part: string, number: number): Random {
    let state = seed ^ Math.imul(number + 1, 0x9e3779b1);
    for (const letter of part) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193);
    const random = new Random(state);
    for (let i = 0; i < 4; i += 1) random.next();
    return random;
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to below `n`. */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** So many of them, which may repeat. */
  some<Item>(count: number, make: () => Item): Item[] {
    return Array.from({ length: count }, make);
  }

  bytes(length: number): Buffer {
    return Buffer.from(this.some(length, () => this.below(256)));
  }

  /** Texts that nobody expects, and some that one does. */
  text(): string {
    const kind = this.below(12);
    if (kind === 0) return '';
    if (kind === 1) return 'x'.repeat(this.pick([1, 255, 4096, 100_000]));
    if (kind === 2)
      return this.pick(['\u0000', 'a\u0000b', '\n', '\u001b[31m', '\u202e', '\ud800', '\u{1F4A3}', '\u0085']);
    if (kind === 3)
      return this.pick([
        '__proto__',
        'constructor',
        'toString',
        '../../x',
        '/',
        '.',
        '~',
        '%s',
        '$1',
        '$(id)',
      ]);
    if (kind === 4)
      return this.pick(["'", '"', '`', '[', ']', '(', ')', ';', '--', '/*', '*/', "x'", '{', '}', ',', '\\']);
    if (kind === 5) return String(this.number());
    if (kind === 6)
      return this.pick([
        '2026-01-20T10:00:00Z',
        '1768903200',
        '0.20.0',
        '99.0.0',
        'v1',
        'NaN',
        'null',
        'true',
      ]);
    return String.fromCharCode(...this.some(this.between(1, 12), () => this.between(32, 126)));
  }

  /** Numbers at the borders. */
  number(): number {
    return this.pick([
      ...[
        0,
        -0,
        1,
        -1,
        2,
        5,
        10,
        255,
        256,
        65_535,
        65_536,
        2 ** 31 - 1,
        2 ** 31,
        2 ** 32,
        2 ** 53 - 1,
        2 ** 53,
        2 ** 63,
      ],
      ...[
        -(2 ** 31),
        -(2 ** 53),
        -(2 ** 63),
        0.5,
        -0.5,
        1e-300,
        1e300,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        this.below(100),
      ],
    ]);
  }
}
