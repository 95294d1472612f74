import type { Store } from '../../db/connection.js';
import { requirePostgres } from '../../db/postgres/statements.js';
import { literal } from '../../db/sql.js';

// A name is the table that the search path finds first: what an unqualified name in a statement means.

/** The relation that an unqualified name means, as SQL; takes the name. */
export const relationSql = (store: Store): string =>
  `(SELECT c.oid FROM unnest(ARRAY[${requirePostgres(store).session.schemas.map(literal).join(', ')}]) WITH ORDINALITY AS p (name, at)
    JOIN pg_namespace AS n ON n.nspname = p.name JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = ?
    ORDER BY p.at LIMIT 1)`;

/** A table with its partitions and whatever inherits from it: an UPDATE of the table reaches them all. Takes the table's name. */
export const tree = (store: Store): string => `WITH RECURSIVE tree (oid) AS (
  SELECT ${relationSql(store)}::oid UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN tree ON tree.oid = i.inhparent)`;

/** Places for a list of values in SQL; for an empty one a list that holds nothing. */
export const places = (values: readonly unknown[]): string => values.map(() => '?').join(', ') || 'NULL';
