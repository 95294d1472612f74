import type { Catalogue } from './message.js';

/** Databases that an application passes from its own code. */
export const zhDatabase = {
  'Expected `database` in {what} to be a file, or a database of PostgreSQL':
    '{what} 中的 `database` 应为文件或 PostgreSQL 数据库',
  'Pass a path, the result of new Database(PATH), a URL, settings as pg takes them, a Pool or Client of pg, a Sequelize or a knex for one of the two, or a function that returns such a database of PostgreSQL':
    '请给出路径、 new Database(PATH) 的返回值、URL、pg 所用的设置、pg 的 Pool 或 Client、用于二者之一的 Sequelize 或 knex，或返回此类 PostgreSQL 数据库的函数',
  'Expected the setting `{option}` of the database in {what} to be {expected}':
    '{what} 中数据库的设置 `{option}` 应为{expected}',
  'Set it as pg takes it, or leave it out': '请按 pg 的要求设置，或将其去掉',
  'The setting `{option}` of the database in {what} is not known, or a separate connection cannot use it':
    '{what} 中数据库的设置 `{option}` 未知，或单独的连接无法使用它',
  'Pass settings without it to {what}; supported: {names}':
    '请向 {what} 传入不含它的设置；支持的有： {names}',
  'a URL, postgres://USER@HOST:5432/DATABASE': 'URL ： postgres://USER@HOST:5432/DATABASE',
  'a port': '端口',
  'a text or a function': '文本或函数',
  'true, false or an object': 'true、false 或对象',
  'The driver pg refuses the settings of the database': '驱动程序 pg 不接受数据库的设置',
  'Check them, and the files that they name; the cause of this error is what pg says':
    '请检查这些设置及其所指的文件；此错误的 cause 是 pg 给出的错误',
  'The function passed as `database` has not returned for {seconds} s':
    '作为 `database` 传入的函数在 {seconds} 秒内没有返回',
  'Check what it waits for, then run the same command again; PGCONNECT_TIMEOUT=SECONDS waits longer':
    '请检查它在等待什么，然后再次运行同一命令；可用 PGCONNECT_TIMEOUT=SECONDS 延长等待',
  'The function passed as `database` failed': '作为 `database` 传入的函数失败了',
  'Check why it throws: its error is the cause of this one; then run the same command again':
    '请检查它抛出错误的原因：该错误是此错误的 cause ；然后再次运行同一命令',
  'The function passed to {what} as `database` returned no address of PostgreSQL':
    '作为 `database` 传给 {what} 的函数没有返回 PostgreSQL 的地址',
  'Return a URL, or settings as pg takes them: {example}': '请返回 URL 或 pg 所用的设置： {example}',
  'The Sequelize passed to {what} changes its settings in a hook, beforeConnect':
    '传给 {what} 的 Sequelize 会在钩子 beforeConnect 中更改其设置',
  'Pass a function that returns them for each connection: {example}':
    '请传入为每个连接返回设置的函数： {example}',
  'Pass the knex itself instead of a transaction of it, and run the backfill outside of transactions':
    '请传入 knex 本身而不是它的事务，并在事务之外运行回填',
  'set `ssl` in the settings of the application': '请在应用程序的设置中设置 `ssl`',
} as const satisfies Catalogue;
