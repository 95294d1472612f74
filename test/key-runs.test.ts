import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { BackfillError } from '../src/index.js';
import { TEXTS } from './support/odd-texts.js';
import {
  compareKeys,
  countKeys,
  decodeIntegerKeys,
  decodeTextKeys,
  encodeIntegerKeys,
  encodeTextKeys,
  type KeySpan,
  MAX_OFFSET,
} from './support/pure.js';

const expand = (runs: readonly KeySpan[]): bigint[] =>
  runs.flatMap((run) => {
    const [first, last] = run as readonly [bigint, bigint];
    const keys: bigint[] = [];
    for (let key = first; key <= last; key += 1n) keys.push(key);
    return keys;
  });

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

describe('encodeIntegerKeys', () => {
  it('packs a run without gaps into at most 4 bytes, whatever its length', () => {
    expect(encodeIntegerKeys(range(0, 5_000)).length).to.be.at.most(4);
    expect(encodeIntegerKeys(range(0, 1_000_000)).length).to.be.at.most(4);
  });

  it('packs every second key into 2 bytes a key', () => {
    expect(encodeIntegerKeys(range(0, 500).map((offset) => offset * 2)).length).to.equal(1_000);
  });

  it('packs no keys into no bytes', () => {
    expect(encodeIntegerKeys([])).to.have.lengthOf(0);
    expect(decodeIntegerKeys(7n, Buffer.alloc(0))).to.deep.equal([]);
  });

  it('writes gap and length less one as LEB128', () => {
    // By hand: gap 0, length 1; gap 299 - 1 = 298 = 0b10_0101010, length 3.
    expect(encodeIntegerKeys([0, 299, 300, 301])).to.deep.equal(Buffer.from([0x00, 0x00, 0xaa, 0x02, 0x02]));
  });
});

describe('unpackKeys', () => {
  it('gives back runs that are as long as they can be', () => {
    expect(decodeIntegerKeys(-1n, encodeIntegerKeys([0, 1, 2, 10, 12, 13]))).to.deep.equal([
      [-1n, 1n],
      [9n, 9n],
      [11n, 12n],
    ]);
  });

  const gaps = fc.array(
    fc.oneof(
      fc.constant(0),
      fc.nat(3),
      fc.nat(300),
      fc.nat(2 ** 31 - 1).map((gap) => gap * 2 ** 15),
    ),
    {
      maxLength: 60,
    },
  );

  it('gives back what was packed', () => {
    fc.assert(
      fc.property(gaps, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 62n }), (steps, firstKey) => {
        let next = 0;
        const offsets = steps.map((gap) => {
          const offset = next + gap;
          next = offset + 1;
          return offset;
        });
        const runs = decodeIntegerKeys(firstKey, encodeIntegerKeys(offsets));
        expect(expand(runs)).to.deep.equal(offsets.map((offset) => firstKey + BigInt(offset)));
        expect(countKeys(runs)).to.equal(offsets.length);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps offsets exact up to the largest', () => {
    for (const offsets of [
      [MAX_OFFSET],
      [0, MAX_OFFSET],
      [0, MAX_OFFSET - 1, MAX_OFFSET],
      [2 ** 32, 2 ** 52 + 1],
    ]) {
      for (const firstKey of [-(2n ** 63n), 0n]) {
        const keys = expand(decodeIntegerKeys(firstKey, encodeIntegerKeys(offsets)));
        expect(keys).to.deep.equal(offsets.map((offset) => firstKey + BigInt(offset)));
      }
    }
  });

  it('refuses bytes that end in the middle of a number', () => {
    const packed = encodeIntegerKeys([300, 301, 100_000]);
    expect(decodeIntegerKeys(0n, packed)).to.have.lengthOf(2);
    // Cut right behind a whole run it is a shorter set; anywhere else a number is missing or cut.
    const firstRun = encodeIntegerKeys([300, 301]).length;
    for (let length = 1; length < packed.length; length += 1) {
      if (length === firstRun) continue;
      expect(() => decodeIntegerKeys(0n, packed.subarray(0, length)), `${length} bytes`).to.throw(RangeError);
    }
  });
});

describe('compareKeys', () => {
  it('orders texts as SQLite does, by their bytes', () => {
    const any = fc.string({ unit: 'binary', maxLength: 6 }).filter((text) => text.isWellFormed());
    fc.assert(
      fc.property(any, any, (a, b) => {
        expect(Math.sign(compareKeys(a, b))).to.equal(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 2000 },
    );
    for (const a of TEXTS)
      for (const b of TEXTS)
        expect(Math.sign(compareKeys(a, b))).to.equal(Buffer.compare(Buffer.from(a), Buffer.from(b)));
  });

  it('orders integers by value', () => {
    expect([10n, -1n, 9n, 2n ** 62n].sort(compareKeys)).to.deep.equal([-1n, 9n, 10n, 2n ** 62n]);
  });
});

describe('packTexts', () => {
  it('packs what unpackTexts unpacks', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed())),
        (texts) => {
          const keys = texts.sort(compareKeys);
          expect(decodeTextKeys(encodeTextKeys(keys), keys.length)).to.deep.equal(
            keys.map((key) => [key, key]),
          );
          if (keys.length > 0)
            expect(() => decodeTextKeys(encodeTextKeys(keys), keys.length - 1)).to.throw(RangeError);
        },
      ),
    );
  });

  it('refuses keys that are longer than it would read again', () => {
    const long = 'x'.repeat(8 * 1024 * 1024);
    expect(decodeTextKeys(encodeTextKeys(['1', '2', '3'].map((key) => key + long)))).to.have.lengthOf(3);
    expect(() => encodeTextKeys(['1', '2', '3', '4'].map((key) => key + long)))
      .to.throw(BackfillError)
      .with.property('code', 'KEY_UNSUITABLE');
  });

  it('takes some 20 bytes for an identifier of 36 characters', () => {
    const keys = Array.from({ length: 5000 }, () => crypto.randomUUID()).sort();
    expect(encodeTextKeys(keys).length / keys.length).to.be.below(25);
  });

  it('says when it is damaged', () => {
    const bytes = encodeTextKeys(Array.from({ length: 64 }, (_, i) => `${(i * 7919) % 1009}-${i}`).sort());
    expect(() => decodeTextKeys(bytes.subarray(0, 20))).to.throw(RangeError);
    expect(() => decodeTextKeys(Buffer.from('nonsense'))).to.throw(RangeError);
    for (const keys of [
      ['b', 'a'],
      ['a', 'a'],
    ])
      expect(() => decodeTextKeys(encodeTextKeys(keys))).to.throw(RangeError, 'not sorted');
  });
});
