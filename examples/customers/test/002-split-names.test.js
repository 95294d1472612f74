import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBackfill } from 'umzug-backfill/testing';
import nameColumns from '../migrations/001-name-columns.js';

test('splits names, normalises addresses, and bears to be killed', async () => {
  const outcome = await testBackfill({
    file: new URL('../backfills/002-split-names.js', import.meta.url),
    schema: [
      'CREATE TABLE customers (code TEXT PRIMARY KEY, name TEXT, email TEXT) WITHOUT ROWID',
      nameColumns,
    ],
    rows: [
      { code: 'A-1', name: 'Ada Lovelace', email: ' Ada@Example.COM' },
      { code: 'A-2', name: '  Grace   Brewster Hopper ', email: 'grace@example.com' },
      { code: 'B-1', name: 'Hypatia', email: null },
      { code: 'B-2', name: '', email: 'nobody@example.com' },
      { code: 'B-3', name: null, email: null },
      { code: 'C-1', name: 'Emmy Noether', email: 'emmy@example.com', last_name: 'Nöther' },
    ],
    expected: [
      { code: 'A-1', first_name: 'Ada', last_name: 'Lovelace', normal_email: 'ada@example.com' },
      { code: 'A-2', first_name: 'Grace', last_name: 'Brewster Hopper' },
      { code: 'B-1', first_name: 'Hypatia', last_name: null, normal_email: null },
      { code: 'B-2', first_name: null, normal_email: null },
      { code: 'C-1', first_name: 'Emmy', last_name: 'Nöther' },
    ],
  });
  assert.equal(outcome.interruptedBy, 'SIGKILL');
  assert.deepEqual(
    outcome.skips.map(({ key, target, reason }) => [key, target, reason]),
    [
      ['B-1', 'last_name', 'NO_USABLE_VALUE'],
      ['B-1', 'normal_email', 'NO_USABLE_VALUE'],
      ['B-2', '*', 'NO_NAME'],
      ['B-3', '*', 'NO_NAME'],
    ],
  );
});
