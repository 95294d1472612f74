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
  'Updates {table} in one transaction: {effect}': '在一个事务中更新 {table}：{effect}',
  'Fill it in batches with defineBackfill()': '请用 defineBackfill() 分批填充',
  'Deletes from {table} in one transaction: {effect}': '在一个事务中从 {table} 删除：{effect}',
  'Delete in small batches, from the application': '请让应用程序分小批删除',
  'Copies rows of {sources} into {table} in one transaction: {effect}':
    '在一个事务中将 {sources} 的行复制到 {table}：{effect}',
  'no other program can write until the last row is done': '直到最后一行完成，其他程序都无法写入',
  'its rows stay locked, and autovacuum removes no dead row, until the last one is done':
    '直到最后一行完成，这些行一直被锁定，autovacuum 也不会清除任何死行',
  'Add columns to the table with the rows, and fill them with defineBackfill(); or copy in small batches, outside a step':
    '请在这些行所在的表中添加列，并用 defineBackfill() 填充；或在步骤之外分小批复制',

  // locks on PostgreSQL
  '{option} is for steps on SQLite': '{option} 用于 SQLite 上的步骤',
  'Remove it, or `postgres`': '请去掉它，或去掉 `postgres`',
  'Creates the index {index} on {table}: no other program can write until every row is read':
    '在 {table} 上创建索引 {index}：直到读完每一行，其他程序都无法写入',
  'Create it outside a step with CREATE UNIQUE INDEX CONCURRENTLY':
    '请在步骤之外用 CREATE UNIQUE INDEX CONCURRENTLY 创建',
  'Create it with defineSchemaStep(), which uses CONCURRENTLY':
    '请用 defineSchemaStep() 创建，它使用 CONCURRENTLY',
  'Adds a constraint with an index to {table}: no other program can read or write until every row is read':
    '向 {table} 添加带索引的约束：直到读完每一行，其他程序都无法读写',
  'Create the unique index outside a step with CONCURRENTLY, and add the constraint USING INDEX':
    '请在步骤之外用 CONCURRENTLY 创建唯一索引，再用 USING INDEX 添加约束',
  'Uses CONCURRENTLY, which PostgreSQL rejects in a transaction such as that of a step':
    '使用了 CONCURRENTLY，而步骤在事务中运行，PostgreSQL 会拒绝',
  'Declare the index with defineSchemaStep(); or run the statement outside a step':
    '请用 defineSchemaStep() 声明索引；或在步骤之外运行该语句',
  'Copies or sorts {table} as a whole: no other program can write until that is done':
    '整体复制或排序 {table}：在完成之前，其他程序都无法写入',
  'Run it outside a step, with CONCURRENTLY where PostgreSQL has that':
    '请在步骤之外运行，并在 PostgreSQL 支持时使用 CONCURRENTLY',
  'Rebuilds the table {table}: rows that other programs write during the copy are lost':
    '重建表 {table}：其他程序在复制期间写入的行会丢失',
  'Changes the type of {column} of {table}: unless the old values fit as they are, no other program can read or write until every row is copied':
    '更改 {table} 的列 {column} 的类型：除非旧值可原样沿用，否则直到复制完每一行，其他程序都无法读写',
  'Add a column of the new type, fill it with defineBackfill(), and switch the application to it; if every old value fits, state that where this rule is disabled':
    '请添加一列新类型的列，用 defineBackfill() 填充，并让应用程序改用该列；如果旧值都可沿用，请在关闭此规则处说明',
  'Adds the column {column} to {table} with a value per row: no other program can read or write until every row is copied':
    '向 {table} 添加每行取值不同的列 {column}：直到复制完每一行，其他程序都无法读写',
  'Add it without a value, fill existing rows with defineBackfill(), and set the default for new rows':
    '请不带值添加该列，用 defineBackfill() 填充已有的行，再为新行设置默认值',
  'Sets {column} of {table} to NOT NULL: no other program can read or write until every row is read':
    '将 {table} 的列 {column} 设为 NOT NULL：直到读完每一行，其他程序都无法读写',
  'Add CHECK ({column} IS NOT NULL) NOT VALID, validate it in a later step, and set NOT NULL in the step after that':
    '请添加 CHECK ({column} IS NOT NULL) NOT VALID，在后面的步骤中验证，再在其后的步骤中设为 NOT NULL',
  'Adds a constraint to {table}: no other program can write until every row is checked':
    '向 {table} 添加约束：直到检查完每一行，其他程序都无法写入',
  'Add it NOT VALID, and use VALIDATE CONSTRAINT in a later step':
    '请以 NOT VALID 添加，并在后面的步骤中使用 VALIDATE CONSTRAINT',
  'Validates a constraint of {table}, which this step has locked: no other program can write until every row is checked':
    '验证 {table} 的约束，而此步骤已锁定该表：直到检查完每一行，其他程序都无法写入',
  'Validate it in a later step': '请在后面的步骤中验证',
  'Locks {table} until the end of the step': '锁定 {table}，直到步骤结束',
  'Remove it: each statement takes the lock that it needs': '请去掉它：每条语句会取得自己所需的锁',
  'Drops {name} with CASCADE: views, foreign keys and other objects that depend on it are dropped, too':
    '用 CASCADE 删除 {name}：依赖它的视图、外键和其他对象也会被删除',
  'Drop them by their names, without CASCADE': '请按名称逐一删除，不用 CASCADE',
  'Truncates {table} with CASCADE: every table that references it loses all rows, too':
    '用 CASCADE 清空 {table}：引用它的每个表也会失去所有行',
  'Truncate the tables by their names, without CASCADE': '请按名称逐一清空，不用 CASCADE',

  // what is rejected
  'Adds the column {column} to {table} as NOT NULL without a default, which {engine} rejects if the table has rows':
    '向 {table} 添加没有默认值的 NOT NULL 列 {column}，表中有行时 {engine} 会拒绝',
  'Add a DEFAULT; or add it without NOT NULL, fill it with defineBackfill(), and write no NULL from the application':
    '请为它指定 DEFAULT；或不加 NOT NULL 添加该列，用 defineBackfill() 填充，并让应用程序不写入 NULL',
  'Adds the column {column} to {table} with a default that is not a constant, which SQLite rejects if the table has rows':
    '向 {table} 添加默认值不是常量的列 {column}，表中有行时 SQLite 会拒绝',
  'Adds the foreign key {column} to {table} with a default, which SQLite rejects if the table has rows':
    '向 {table} 添加带默认值的外键 {column}，表中有行时 SQLite 会拒绝',
  'Add it without a default, and fill existing rows with defineBackfill()':
    '请不带默认值添加，并用 defineBackfill() 填充已有的行',
  'Creates the unique index {index} on {table}, which {engine} rejects if two rows are equal':
    '在 {table} 上创建唯一索引 {index}，有两行相同时 {engine} 会拒绝',
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
