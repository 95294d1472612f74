import type { Catalogue } from './message.js';

/** Errors and hints of what a project calls from its own code, around an Umzug. */
export const zhUmzug = {
  'Set `{option}` in {what}, or leave it out for its default':
    '请在 {what} 中设置 `{option}`，或去掉它以使用默认值',
  '{what} has no steps': '{what} 没有步骤',
  "Pass a folder of steps, or steps by name: migrations: 'migrations', backfills: { NAME: defineBackfill({ … }) }":
    "请指定步骤的文件夹，或按名称给出步骤： migrations: 'migrations', backfills: { NAME: defineBackfill({ … }) }",
  'Expected `{option}` in {what} to be a folder or steps by name, got `{value}`':
    '{what} 中的 `{option}` 应为文件夹或按名称给出的步骤，实际为 `{value}`',
  "Write {option}: 'FOLDER', or {same}: { NAME: defineBackfill({ … }) }":
    "请写 {option}: 'FOLDER' ，或 {same}: { NAME: defineBackfill({ … }) }",
  'The step {name} of `{option}` in {what} was not created by a define function, or its name is not one line':
    '{what} 中 `{option}` 的步骤 {name} 不是由某个 define 函数创建的，或其名称不是单行',
  'Write {option}: { NAME: defineBackfill({ … }) }, or one of defineSchemaStep(), defineSqlStep() and requireBackfill(NAME)':
    '请写 {option}: { NAME: defineBackfill({ … }) } ； defineSchemaStep()、defineSqlStep() 和 requireBackfill(NAME) 亦同',
  'The step {name} is applied already': '步骤 {name} 已经应用',
  "Leave it out, or pass rerun: 'SKIP'; a backfill runs again with backfill(NAME, { rescan: true })":
    "请去掉它，或传入 rerun: 'SKIP' ；回填可用 backfill(NAME, { rescan: true }) 再次运行",
  'Expected `rerun` in {what} to be THROW or SKIP, got `{value}`':
    '{what} 中的 `rerun` 应为 THROW 或 SKIP，实际为 `{value}`',
  'A step is never applied twice; a backfill runs again with backfill(NAME, { rescan: true })':
    '步骤不会在已完成的内容上再次运行；回填可用 backfill(NAME, { rescan: true }) 再次运行',
  "umzug's create() writes functions, and a step of this package is a declaration":
    'umzug 的 create() 写出的是函数，而本软件包的步骤是声明',
  'Write one: umzug-backfill create NAME --backfill': '请生成一个： umzug-backfill create NAME --backfill',
  'Expected `backfill` in {what} to be made by defineBackfill()':
    '{what} 中的 `backfill` 应由 defineBackfill() 创建',
  'Write backfill: defineBackfill({ … })': '请写 backfill: defineBackfill({ … })',
  'Expected `name` in {what} to be one line without a file extension, got {value}':
    '{what} 中的 `name` 应为不带文件扩展名的单行文本，实际为 {value}',
  'Set `name` to {name}': '请将 `name` 设为 {name}',
  'The connection passed to {what} is to a database in memory or a temporary one, which no second connection can open':
    '传给 {what} 的连接指向内存数据库或临时数据库，第二个连接无法打开它',
  'Pass a connection to a file: new Database(PATH)': '请给出指向文件的连接： new Database(PATH)',
  'The connection passed to {what} is in the middle of a transaction, which would keep others from writing':
    '传给 {what} 的连接正处于事务之中，这会使其他连接无法写入',
  'Commit it first, and run umzug outside of transactions: each batch has a separate one':
    '请先提交，并在事务之外运行 umzug：每个批次都有自己的事务',
  'Set `file` of {what} to the file whose default export is its `backfill`: the step then runs in a child process, to which functions cannot be sent':
    '请将 {what} 的 `file` 设为以其 `backfill` 为默认导出的文件：该步骤随后在子进程中运行，而函数无法发送给子进程',
  'Declare the backfill in a file that does not import the database, even indirectly, and set `file` to it':
    '请在不导入数据库（也不间接导入）的文件中声明该回填，并将 `file` 设为该文件',
  'This process has loaded another copy of SQLite, {path}, and a child process, which would have one copy, cannot be started ({reason})':
    '本进程加载了另一份 SQLite：{path}；而只有一份 SQLite 的子进程无法启动（{reason}）',
  'Run umzug-backfill up as a second process': '请将 umzug-backfill up 作为另一个进程运行',
  'The default export of {file} is not the `backfill` that was passed to {what}':
    '{file} 的默认导出不是传给 {what} 的 `backfill`',
  'Set `file` to the file that exports it: export default defineBackfill({ … })':
    '请将 `file` 设为导出它的文件： export default defineBackfill({ … })',
  'Expected `from` in {what} to be a storage of umzug or a table':
    '{what} 中的 `from` 应为 umzug 的 storage 或表',
  "Write from: new JSONStorage({ path: 'umzug.json' }), or from: { table: 'SequelizeMeta' }":
    "请写 from: new JSONStorage({ path: 'umzug.json' }) ，或 from: { table: 'SequelizeMeta' }",
  'The store has no table {table} to import names from': '存储中没有可供导入名称的表 {table}',
  'Set `from.table` to the table of the previous storage; sqlite3 STORE .tables lists those of the store':
    '请将 `from.table` 设为此前所用 storage 的表； sqlite3 STORE .tables 会列出存储中的表',
  'The table {table} has no column {column} to import names from': '表 {table} 没有可供导入名称的列 {column}',
  'Set `from.column` to the column with the names of migrations': '请用 `from.column` 指定存放迁移名称的列',
  'One of the names to import is not a text': '要导入的名称中有一个不是文本',
  'Fix it in the other storage, or set `from.column`; nothing was imported':
    '请在另一个 storage 中修正，或设置 `from.column`；未导入任何内容',
  'The other storage says that {name} is executed, and the ledger that it is unfinished':
    '另一个 storage 称 {name} 已执行，而账本称它只完成了一半',
  'The ledger has migrations already, and lacks {names}, which the other storage says are executed':
    '账本中已有迁移，但缺少 {names}，而另一个 storage 称它们已执行',
  'Finish it first, or revert it: run umzug on the other storage once more; nothing was imported':
    '请先完成它，或将其撤回：在另一个 storage 上再运行一次 umzug；未导入任何内容',
  'If they are executed, log each: await ledgerStorage(PATH).logMigration({ name }); nothing was imported':
    '如果它们确已执行，请逐个记录： await ledgerStorage(PATH).logMigration({ name }) ；未导入任何内容',
} as const satisfies Catalogue;
