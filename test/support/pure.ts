// Private modules that tests look at by themselves: the lint lets this file alone import them, and nothing else of `src/` but the
// public entries and `main()`. Each is pure, values in and values out, and has more cases than a store could show one by one.

/** The table of options: data. */
export * from '../../src/command-options.js';
/** JSON as Python writes it, read once more where the database's own reader differs. */
export * from '../../src/db/json-text.js';
/**
 * The connection of a store. Not pure, and here for one promise of it that no command can break: that it refuses a statement while its
 * transaction is open.
 */
export { locateStore } from '../../src/db/path.js';
/** Throttle: series of timings in, sizes of batches and pauses out. */
export * from '../../src/engine/pace.js';
export { postgresConnector } from '../../src/engine/postgres/dialect.js';
export { openSqlite } from '../../src/engine/sqlite/dialect.js';
/** Keys of the ledger, packed and unpacked, and their order. */
export * from '../../src/ledger/keys.js';
/** Texts as data, rendered in English. */
export { english, msg } from '../../src/messages/message.js';
export * from '../../src/option-table.js';
export { type Option, type OptionTable, usualOf } from '../../src/options.js';
/** Errors as data, for another process. */
export { fromSent, toSent } from '../../src/sent-error.js';
/** Timestamps, and what percentiles are made of them. */
export * from '../../src/verify/times.js';
