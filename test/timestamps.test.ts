import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { english, parseTimestamp, showValue } from './support/pure.js';

/** A text, the same instant as Date reads it, and whether the text states its offset. */
const timestamps: readonly (readonly [text: string, instant: string, hasOffset: boolean])[] = [
  ['2026-01-20T10:00:00', '2026-01-20T10:00:00Z', false],
  ['2026-01-20 10:00:00', '2026-01-20T10:00:00Z', false],
  ['2026-01-20T10:00:00.000000', '2026-01-20T10:00:00Z', false],
  ['2026-01-20 10:00:00.5', '2026-01-20T10:00:00.500Z', false],
  ['2026-01-20T10:00:00Z', '2026-01-20T10:00:00Z', true],
  ['2026-01-20 10:00:00Z', '2026-01-20T10:00:00Z', true],
  ['2026-01-20T10:00:00.250+00:00', '2026-01-20T10:00:00.250Z', true],
  ['2026-01-20T10:00:00+02:00', '2026-01-20T08:00:00Z', true],
  ['2026-01-20T10:00:00-05:30', '2026-01-20T15:30:00Z', true],
  ['2026-12-31T23:59:59.999-14:00', '2027-01-01T13:59:59.999Z', true],
  ['2026-01-01T00:00:00+14:00', '2025-12-31T10:00:00Z', true],
  // Leap days: every fourth year, but for full centuries that 400 does not divide.
  ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z', true],
  ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00Z', true],
  // Date.UTC(99, …) would be 1999.
  ['0099-12-31T23:59:59Z', '0099-12-31T23:59:59Z', true],
  ['0001-01-01 00:00:00', '0001-01-01T00:00:00Z', false],
  ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59Z', true],
  // Digits state an instant, whatever the zone.
  ['100000000', '1973-03-03T09:46:40Z', true],
  ['999999999', '2001-09-09T01:46:39Z', true],
  ['1768903200', '2026-01-20T10:00:00Z', true],
  ['999999999999', '2001-09-09T01:46:39.999Z', true],
  ['1768903200250', '2026-01-20T10:00:00.250Z', true],
];

const dates = ['2023-02-29', '1900-02-29', '2100-02-29', '2026-02-30', '2026-04-31', '2026-06-31'].concat(
  ['2026-09-31', '2026-11-31', '2026-01-32', '2026-01-00', '2026-00-10', '2026-13-01'],
  ['26-01-20', '2026-1-20', '2026-01-2', '20260120', '12026-01-20', '+002026-01-20', '-2026-01-20'],
);
const times = ['24:00:00', '25:00:00', '10:60:00', '10:00:61', '10:00', '1:00:00', '100000', '10:00:00.'];
const offsets = [
  'z',
  ' Z',
  '+2',
  '+2:00',
  '+02:60',
  '+24:00',
  '-99:00',
  '02:00',
  '+02:00:00',
  'ZZ',
  'UTC',
  ' +02:00',
];

const noTimestamps: readonly string[] = [
  ...dates.map((date) => `${date}T10:00:00`),
  ...times.map((time) => `2026-01-20T${time}`),
  ...offsets.map((offset) => `2026-01-20T10:00:00${offset}`),
  ...['2026-01-20t10:00:00', '2026-01-20t10:00:00z', '2026-01-20  10:00:00', '2026-01-20_10:00:00'],
  ...['2026-01-20', '10:00:00', '2026-01-20T', '2026-W04-2T10:00:00', '2026-020T10:00:00'],
  ...[' 2026-01-20T10:00:00', '2026-01-20T10:00:00 ', '2026-01-20T10:00:00\n', '\ufeff2026-01-20T10:00:00'],
  ...['2026-01-20T10:00:00Z or so', 'at 2026-01-20T10:00:00Z', '"2026-01-20T10:00:00Z"'],
  // Digits of another script are digits to a person only.
  '２０２６-01-20T10:00:00',
  '٠١٢٣٤٥٦٧٨٩',
  // 8, 11 and 14 digits are neither seconds nor milliseconds.
  ...['12345678', '17689032000', '17689032002500'],
  ...[
    '1768903200.25',
    '1768903200.0',
    '-1768903200',
    '+1768903200',
    '1.7689032e9',
    ' 1768903200',
    '1768903200n',
  ],
  ...['', ' ', '0', 'now', 'NaN', 'null', 'Invalid Date'],
];

const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
const year = fc.oneof(
  fc.integer({ min: 0, max: 9999 }),
  fc.constantFrom(0, 4, 99, 100, 400, 1900, 2000, 2024),
);

/** The same by a regular expression and Date: slower, and plain to read. */
function parsedByDate(text: string): ReturnType<typeof parseTimestamp> {
  if (/^(?:\d{9,10}|\d{12,13})$/.test(text)) {
    return { epochMs: Number(text) * (text.length < 12 ? 1000 : 1), hasOffset: true };
  }
  const iso =
    /^(\d{4}-\d{2}-\d{2})[T ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(\.\d+)?(?:(Z)|([+-])(0\d|1[0-4]):([0-5]\d))?$/.exec(
      text,
    );
  const date = new Date(`${iso?.[1]}T${iso?.[2]}Z`);
  // Date takes 30 February for 2 March.
  if (!iso || Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== iso[1]) return undefined;
  const offset = (iso[5] === '-' ? -1 : 1) * (Number(iso[6] ?? 0) * 60 + Number(iso[7] ?? 0)) * 60_000;
  const fraction = iso[3] === undefined ? 0 : Number(`0${iso[3]}`) * 1000;
  return { epochMs: date.getTime() + fraction - offset, hasOffset: (iso[4] ?? iso[5]) !== undefined };
}

const digits = (from: number, to: number) => fc.stringMatching(new RegExp(`^\\d{${from},${to}}$`));

/** Texts that are timestamps, and those that are nearly. */
const nearlyTimestamps = fc
  .tuple(
    fc.constantFrom('2026', '2024', '1900', '2000', '0000', '0099', '9999', '202', '20266', 'x026'),
    fc.constantFrom('-', '-', '-', '-', '-', '/', ''),
    digits(2, 2),
    fc.constantFrom('01', '09', '28', '29', '30', '31', '32', '00', '1'),
    fc.constantFrom('T', ' ', 'T', ' ', 't', '  ', ''),
    fc.constantFrom(
      '00:00:00',
      '23:59:59',
      '12:34:56',
      '24:00:00',
      '12:60:00',
      '12:00:60',
      '1:02:03',
      '12-00-00',
      '12:0a:00',
    ),
    fc.oneof(
      fc.constant(''),
      fc.constant('.'),
      digits(1, 12).map((text) => `.${text}`),
      fc.constant('.5x'),
    ),
    fc.oneof(
      fc.constantFrom(
        '',
        '',
        'Z',
        'z',
        'ZZ',
        '+',
        '+02',
        '+0200',
        '+02:60',
        '+15:00',
        '-14:59',
        '+00:00',
        ' Z',
      ),
      fc
        .tuple(fc.constantFrom('+', '-'), digits(2, 2), digits(2, 2))
        .map(([sign, h, m]) => `${sign}${h}:${m}`),
    ),
  )
  .map(([year, dash, month, day, ...rest]) => `${year}${dash}${month}-${day}${rest.join('')}`);

describe('parseTimestamp', () => {
  it('reads what Date and a regular expression read, to the last digit', () => {
    fc.assert(
      fc.property(fc.oneof(nearlyTimestamps, digits(8, 14), fc.string()), (text) => {
        expect(parseTimestamp(text)).to.deep.equal(parsedByDate(text));
      }),
      { numRuns: 20_000 },
    );
  });

  it('counts the days of every month from year 0 to 9999', () => {
    for (let year = 0; year <= 9999; year += 1) {
      for (let month = 1; month <= 12; month += 1) {
        for (const day of ['01', '28', '29', '30', '31']) {
          const text = `${String(year).padStart(4, '0')}-${String(month).padStart(2, '0')}-${day}T10:00:00Z`;
          const ms = Date.parse(text);
          const exists = !Number.isNaN(ms) && new Date(ms).toISOString().slice(8, 10) === day;
          if (parseTimestamp(text)?.epochMs !== (exists ? ms : undefined)) expect.fail(text);
        }
      }
    }
  });

  for (const [text, instant, hasOffset] of timestamps) {
    it(`reads ${text} as ${instant}`, () => {
      expect(parseTimestamp(text)).to.deep.equal({ epochMs: Date.parse(instant), hasOffset });
    });
  }

  it('keeps fractions of a millisecond', () => {
    const epochMs = parseTimestamp('1970-01-01T00:00:00.123456Z')?.epochMs;
    expect(epochMs).to.be.closeTo(123.456, 1e-9);
  });

  for (const text of noTimestamps) {
    it(`takes ${JSON.stringify(text)} for no timestamp`, () => {
      expect(parseTimestamp(text)).to.equal(undefined);
    });
  }

  it('agrees with Date on instants of any offset', () => {
    const offset = fc.oneof(fc.constantFrom('', 'Z'), fc.integer({ min: -14 * 60, max: 14 * 60 }));
    const instant = fc.date({
      min: new Date('0000-01-02T00:00:00Z'),
      max: new Date('9999-12-30T00:00:00Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(
        instant,
        offset,
        fc.constantFrom('T', ' '),
        fc.boolean(),
        (date, zone, separator, isWhole) => {
          const minutes = typeof zone === 'number' ? zone : 0;
          const epochMs = isWhole ? Math.floor(date.getTime() / 1000) * 1000 : date.getTime();
          const local = new Date(epochMs + minutes * 60_000).toISOString().slice(0, isWhole ? 19 : 23);
          const ahead = Math.abs(minutes);
          const suffix =
            typeof zone === 'string'
              ? zone
              : `${minutes < 0 ? '-' : '+'}${pad(Math.floor(ahead / 60))}:${pad(ahead % 60)}`;
          const text = local.replace('T', separator) + suffix;
          expect(parseTimestamp(text), text).to.deep.equal({ epochMs, hasOffset: suffix !== '' });
          if (separator === 'T' && suffix !== '') expect(Date.parse(text), text).to.equal(epochMs);
        },
      ),
    );
  });

  it('takes a date and time exactly when Date does not move it', () => {
    const field = (max: number) => fc.integer({ min: 0, max });
    fc.assert(
      fc.property(
        fc.tuple(year, field(13), field(32), field(25), field(61), fc.oneof(field(59), fc.constant(61))),
        ([y, month, day, hours, minutes, seconds]) => {
          const text = `${pad(y, 4)}-${pad(month)}-${pad(day)}T${pad(hours)}:${pad(minutes)}:${pad(seconds)}`;
          // A day or an hour too many makes Date invalid, or carries over into the next field.
          const epochMs = Date.parse(`${text}Z`);
          const isReal = !Number.isNaN(epochMs) && new Date(epochMs).toISOString().startsWith(text);
          expect(parseTimestamp(text), text).to.deep.equal(
            isReal ? { epochMs, hasOffset: false } : undefined,
          );
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('reads digits by their number', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 16 }), (digits) => {
        const scale = { 9: 1000, 10: 1000, 12: 1, 13: 1 }[digits.length];
        expect(parseTimestamp(digits)).to.deep.equal(
          scale === undefined ? undefined : { epochMs: Number(digits) * scale, hasOffset: true },
        );
      }),
    );
  });
});

describe('showValue', () => {
  const cases: readonly (readonly [value: unknown, shown: string])[] = [
    [null, 'NULL'],
    [undefined, 'NULL'],
    ['2026-01-20 10:00:00', '2026-01-20 10:00:00'],
    ['2026-01-20T10:00:00.5+02:00', '2026-01-20T10:00:00.5+02:00'],
    ['1768903200', '1768903200'],
    [1768903200, '1768903200'],
    [1768903200250n, '1768903200250'],
    ['not a secret', '‹not a timestamp, 12 characters›'],
    ['', '‹not a timestamp, 0 characters›'],
    ['2026-01-20T10:00:00z', '‹not a timestamp, 20 characters›'],
    // A person counts characters, not halves of surrogate pairs.
    ['😀😀', '‹not a timestamp, 2 characters›'],
    [42, '‹not a timestamp, a number›'],
    [1768903200.25, '‹not a timestamp, a number›'],
    [17689032000n, '‹not a timestamp, a number›'],
    [Buffer.from('2026-01-20 10:00:00'), '‹not a timestamp, 19 bytes›'],
    [Buffer.alloc(0), '‹not a timestamp, 0 bytes›'],
  ];
  for (const [value, shown] of cases) {
    it(`shows ${typeof value === 'bigint' ? `${value}n` : JSON.stringify(value)} as ${shown}`, () => {
      expect(english(showValue(value))).to.equal(shown);
    });
  }

  it('shows of a text that is no timestamp its length alone', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const length = [...text].length;
        const expected = parseTimestamp(text) ? text : `‹not a timestamp, ${length} characters›`;
        expect(english(showValue(text))).to.equal(expected);
      }),
    );
  });
});
