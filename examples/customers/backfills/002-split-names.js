import { defineBackfill } from 'umzug-backfill';

export default defineBackfill({
  table: 'customers',
  key: 'code',
  reads: ['name', 'email'],
  columns: ['first_name', 'last_name', 'normal_email'],
  process: (rows, { skip }) =>
    rows.map(({ name, email }) => {
      const [first_name, ...rest] = (name ?? '').trim().split(/\s+/);
      if (first_name === '') return skip('NO_NAME');
      return { first_name, last_name: rest.join(' ') || null, normal_email: email?.trim().toLowerCase() };
    }),
});
