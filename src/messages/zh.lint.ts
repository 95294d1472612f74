import type { Catalogue } from './message.js';

/** What `lint`, `init` and `create` say. */
export const zhLint = {
  'No unsafe operations found. Steps checked: {steps}.': '未发现不安全之处。已检查的步骤：{steps} 个。',
  'One unsafe operation in {step}': '在 {step} 中发现 1 处不安全',
  '{count} unsafe operations in {steps}': '在 {steps} 中发现 {count} 处不安全',
  'Apply the suggestion after each arrow; or, if the operation is safe, state why in the file: // backfill-lint-disable RULE reason':
    '请按箭头之后所说的做；如果此处是安全的，请在文件中说明原因： // backfill-lint-disable RULE reason',
  '{message} (about {time} on this store)': '{message}（在此存储上约 {time}）',

  // locks
  'Drops the column {column} of {table}: SQLite rewrites every row with the write lock held':
    '删除 {table} 的列 {column}，为此 SQLite 要在持有写锁的情况下重写每一行',
  'Keep the column, unused by the application; or drop it while no other program writes':
    '请让应用程序不再使用该列并保留它；或在无人写入时删除',
  'Rebuilds the table {table}: every row is copied with the write lock held':
    '重建表 {table}：要在持有写锁的情况下复制每一行',
  'Add a column, fill it with defineBackfill(), and switch the application to it':
    '请添加一列，用 defineBackfill() 填充，并让应用程序改用该列',
  'Creates the index {index} on {table}: SQLite reads every row with the write lock held':
    '在 {table} 上创建索引 {index}，为此 SQLite 要在持有写锁的情况下读取每一行',
  'Create it with defineSchemaStep(), in a separate transaction, before the column is filled':
    '请用 defineSchemaStep() 创建，它让每个索引有自己的事务，并在填充该列之前创建',
  'Updates {table} in one transaction: no other program can write until the last row is done':
    '在一个事务中更新 {table}：直到最后一行完成，其他人都无法写入',
  'Fill it in batches with defineBackfill()': '请用 defineBackfill() 分批填充',
  'Deletes from {table} in one transaction: no other program can write until the last row is done':
    '在一个事务中从 {table} 删除：直到最后一行完成，其他人都无法写入',
  'Delete in small batches, from the application': '请让应用程序分小批删除',
  'Copies rows of {sources} into {table} in one transaction: no other program can write until the last row is done':
    '在一个事务中将 {sources} 的行复制到 {table}：直到最后一行完成，其他人都无法写入',
  'Add columns to the table with the rows, and fill them with defineBackfill(); or copy in small batches, outside a step':
    '请在这些行所在的表中添加列，并用 defineBackfill() 填充；或在步骤之外分小批复制',

  // what SQLite refuses
  'Adds the column {column} to {table} as NOT NULL without a default, which SQLite rejects if the table has rows':
    '向 {table} 添加没有默认值的 NOT NULL 列 {column}，表中有行时 SQLite 会拒绝',
  'Add a DEFAULT; or add it without NOT NULL, fill it with defineBackfill(), and write no NULL from the application':
    '请为它指定 DEFAULT；或不加 NOT NULL 添加该列，用 defineBackfill() 填充，并让应用程序不写入 NULL',
  'Adds the column {column} to {table} with a default that is not a constant, which SQLite rejects if the table has rows':
    '向 {table} 添加默认值不是常量的列 {column}，表中有行时 SQLite 会拒绝',
  'Adds the foreign key {column} to {table} with a default, which SQLite rejects if the table has rows':
    '向 {table} 添加带默认值的外键 {column}，表中有行时 SQLite 会拒绝',
  'Add it without a default, and fill existing rows with defineBackfill()':
    '请不带默认值添加，并用 defineBackfill() 填充已有的行',
  'Creates the unique index {index} on {table}, which SQLite rejects if two rows are equal':
    '在 {table} 上创建唯一索引 {index}，有两行相同时 SQLite 会拒绝',
  'Try it on a copy of the store, write no equal rows from the application, and state both where this rule is disabled':
    '请在存储的副本上试行，让应用程序不写入相同的行，并在关闭此规则处说明',

  // reversal
  'Has no `down`: neither this step nor an earlier one can be reverted':
    '没有 `down`：此步骤及更早的步骤都无法撤销',
  'Has an empty `down`: the step would count as reverted although nothing is':
    '`down` 为空：步骤会被视为已撤销，而实际上什么也没有撤销',
  'Add a `down` that reverts what `up` does': '请为它提供撤回 `up` 所做更改的 `down`',
  '{what}, which no `down` restores': '{what}，任何 `down` 都无法恢复',
  'Drops the table {table} with its rows': '删除表 {table} 及其所有行',
  'Drops the column {column} of {table} with its values': '删除 {table} 的列 {column} 及其值',
  'Deletes rows of {table}': '删除 {table} 的行',
  'Overwrites values of {table}': '覆盖 {table} 的值',
  'Overwrites rows of {table}': '覆盖 {table} 的行',
  'Keep the old values in a table that the step creates and `down` reads; or fill a new column with defineBackfill(), whose `down` is exact':
    '请将旧值保存在由该步骤创建、由 `down` 读取的表中；或用 defineBackfill() 填充新列，其 `down` 是精确的',
  'Creates {name} only if it does not exist, but `down` drops it even if it existed before':
    '仅在 {name} 不存在时创建它，而 `down` 即使它原本就存在也会删除',
  'Remove IF NOT EXISTS: no step runs twice': '请去掉 IF NOT EXISTS：步骤不会运行两次',

  // others
  'Drops the table {table} with foreign keys on: rows that reference it with ON DELETE CASCADE are deleted, too':
    '在外键开启时删除表 {table}：通过 ON DELETE CASCADE 引用它的行也会被删除',
  'Drop the tables that reference it first; or drop it outside a step, with foreign keys off':
    '请先删除引用它的表；或在步骤之外关闭外键后再做',
  'Renames the column {column} of {table}: a running application still uses the old name':
    '重命名 {table} 的列 {column}，而仍在运行的应用程序使用的是旧名称',
  'Add a column with the new name, write both from the application, and fill it with defineBackfill()':
    '请用新名称添加一列，让应用程序同时写入两列，并用 defineBackfill() 填充',
  'Renames the table {table}: a running application still uses the old name':
    '重命名表 {table}，而仍在运行的应用程序使用的是旧名称',
  'Keep the name; or stop the application, rename the table, and start the new version':
    '请保留名称；或先停止应用程序，重命名，再启动新版本',
  "Declares the column {column} as STRING, which SQLite treats as numeric: '007' is stored as 7":
    "列 {column} 的类型为 STRING，SQLite 将其视为数字类型：'007' 会存为 7",
  'Use TEXT': '请写成 TEXT',
  'Uses {what}, new in SQLite {since}; the oldest in use is {oldest}':
    '使用了{what}，它自 SQLite {since} 起才有，而在用的最旧版本为 {oldest}',
  'Write it in SQL that the older version supports; or raise `--sqlite`':
    '请改用旧版本支持的 SQL；或提高 `--sqlite` 的版本',
  'ON CONFLICT DO': ' ON CONFLICT DO 子句',
  'RENAME COLUMN': ' RENAME COLUMN 语句',
  'a window function': '窗口函数',
  'NULLS FIRST or NULLS LAST': ' NULLS FIRST 或 NULLS LAST ',
  FILTER: ' FILTER 子句',
  'a generated column': '生成列',
  'UPDATE FROM': ' UPDATE FROM 语句',
  'DROP COLUMN': ' DROP COLUMN 语句',
  RETURNING: ' RETURNING 子句',
  MATERIALIZED: ' MATERIALIZED 子句',
  'a STRICT table': ' STRICT 表',
  '-> or ->>': ' -> 或 ->> ',
  'RIGHT JOIN or FULL JOIN': ' RIGHT JOIN 或 FULL JOIN ',
  'IS DISTINCT FROM': ' IS DISTINCT FROM 运算符',
  'a constraint that is added or removed': '添加或删除的约束',
  'A comment disables no rule': '有注释未指定要关闭的规则',
  'A comment disables {rule}, which is not a rule': '有注释要关闭 {rule}，但没有这条规则',
  'Use a rule of docs/lint.md: // backfill-lint-disable RULE reason':
    '请指定 docs/lint.md 中的一条规则： // backfill-lint-disable RULE reason',
  'A comment disables {rule} without a reason': '有注释要关闭 {rule}，但没有说明原因',
  'State why it is safe here: // backfill-lint-disable {rule} reason':
    '请说明此处为何安全： // backfill-lint-disable {rule} reason',

  // init and create
  'Dry run of `init`: nothing was written. It would do this:':
    '试运行 `init`：未写入任何内容。实际运行将会：',
  'The config is {file}.': '配置文件为 {file}。',
  'Steps go into {folder}.': '步骤放在 {folder} 中。',
  'Next:': '接下来：',
  'set the store in {file}': '在 {file} 中指定存储',
  'compile it to dist: npx tsc --outDir dist': '将其编译到 dist： npx tsc --outDir dist',
  'write a step: umzug-backfill create NAME': '编写步骤： umzug-backfill create NAME',
  'check the plan: umzug-backfill up --dry-run': '查看它将做什么： umzug-backfill up --dry-run',
  'Dry run of `create`: nothing was written. It would write {file}.':
    '试运行 `create`：未写入任何内容。实际运行会写入 {file}。',
  'Wrote {file}.': '已写入 {file}。',
  'Compile it before it is checked or run: npx tsc.': '在检查或运行之前请先编译： npx tsc。',
  'Replace the example names in it, then check it with: umzug-backfill lint, umzug-backfill up --dry-run':
    '请填入自己的名称； umzug-backfill lint 会指出不安全之处， umzug-backfill up --dry-run 会说明它将做什么。',
} as const satisfies Catalogue;
