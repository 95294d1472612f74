import type { Catalogue } from './message.js';

/** Wrong calls of `testBackfill()`. */
export const zhTesting = {
  '{message}: {cause}': '{message}：{cause}',
  'in {where} of testBackfill()': '在 testBackfill() 的 {where} 中',
  'row {number} of `rows`': '`rows` 的第 {number} 行',
  'No row of `rows` of testBackfill() is in the scope of the backfill':
    'testBackfill() 的 `rows` 中没有一行属于该回填的范围',
  'Add rows that it must fill': '请添加需要它填充的行',
  '`expected` of testBackfill() has a row {key}, which is not in `rows`':
    'testBackfill() 的 `expected` 中有行 {key}，而 `rows` 中没有',
  'Set the key to its value in the table': '请将键设为它在表中的值',
  'a list of at least one row': '至少含一行的列表',
  'a list of rows': '行的列表',
  'values by column': '以列名为键的值',
  'a string, a finite number, a bigint, bytes or null': '字符串、有限数、bigint、字节或 null',
  'rows with their key, {key}': '含有其键 {key} 的行',
  'the result of defineBackfill()': 'defineBackfill() 的结果',
  'SQL, or steps by defineSchemaStep() or defineSqlStep()':
    'SQL，或由 defineSchemaStep() 或 defineSqlStep() 定义的步骤',
  'testBackfill() requires either `file` or `backfill`': 'testBackfill() 需要 `file` 或 `backfill` 之一',
  "Set file: new URL('../backfills/NAME.js', import.meta.url), or backfill: defineBackfill({ … })":
    "请设置 file: new URL('../backfills/NAME.js', import.meta.url) ，或 backfill: defineBackfill({ … })",
  'The step file {path} does not declare a backfill': '步骤文件 {path} 没有声明回填',
  'Set `file` to one with: export default defineBackfill({ … })':
    '请将 `file` 设为含有以下内容的文件： export default defineBackfill({ … })',
  '`schema` of testBackfill() does not create the table {table}':
    'testBackfill() 的 `schema` 没有创建表 {table}',
  'Add the CREATE TABLE of the table that the backfill names': '请添加该回填所指定的表的 CREATE TABLE',
  '`schema` of testBackfill() inserts rows into {table}': 'testBackfill() 的 `schema` 向 {table} 插入了行',
  'Pass them as `rows`: some of them are written while the backfill runs':
    '请作为 `rows` 传入：其中一些会在回填运行时写入',
} as const satisfies Catalogue;
