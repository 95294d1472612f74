/** The common table expression `n`, with a row `i` for each of 1 to `count`. */
export const numbers = (count: number): string =>
  `WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;

/** SQL that makes customers 1 to `count`; every seventh has one name only. */
export const customers = (count: number): string => `
  CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, first TEXT, last TEXT, price REAL, cents INTEGER, label, text_price TEXT);
  ${numbers(count)} INSERT INTO customers (id, name, price)
    SELECT i, CASE WHEN i % 7 = 0 THEN 'Solo' ELSE 'Ada' || i || ' Love lace' END, i + 0.5 FROM n;`;
