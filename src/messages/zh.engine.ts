import type { Catalogue } from './message.js';

/** Texts of the engines: derivation, keys, schema steps, rights. */
export const zhEngine = {
  'A trigger on {table} ignored the update of {rows} rows': '{table} 上的触发器忽略了 {rows} 行的更新',
  'Check the triggers that umzug-backfill up --dry-run lists for RAISE(IGNORE)':
    '请在 umzug-backfill up --dry-run 列出的触发器中查找 RAISE(IGNORE)',
  '{backfill} filled {columns}, which its declaration no longer has':
    '{backfill} 填充过 {columns}，但其声明已不再说明如何推导',
  'Restore the step file as it was applied, then run the same command again':
    '请把步骤文件恢复为应用时的样子，再次运行同一命令',
  'it contains values that are neither integers nor texts': '它含有既不是整数也不是文本的值',
  'Create the index that batches need: {statement}; or set `key` to another column':
    '请创建批次可以依照的索引： {statement} ；或将另一列设为 `key`',
  '{key} of {table} cannot be the key of {name}: {reason}': '{table} 的 {key} 不能作为 {name} 的键：{reason}',
  'Set `key` to a column of integers or texts that is the only one of the primary key or of a unique index':
    '请将 `key` 设为整数或文本列，且它是主键或唯一索引中唯一的列',
  'Guard the expression, as in {example}, then run the same command again':
    '请防护可能失败的部分，例如 {example}，然后再次运行同一命令',
  'The scope of {name} fails on the row with key {key} ({code})':
    '{name} 的 scope 在键为 {key} 的行上失败（{code}）',
  'The expression of {column} in {name} fails on the row with key {key} ({code})':
    '{name} 中 {column} 的表达式在键为 {key} 的行上失败（{code}）',
  'The declaration of {name} has changed since its first batch, and it is not finished':
    '{name} 的声明在开始填充之后有改动，而它尚未完成',
  'Revert it, then apply it as it is declared now: umzug-backfill down --to {name}, then umzug-backfill up; or restore the step file and finish it first':
    '先撤回它已填充的内容，再按现在的声明应用：umzug-backfill down --to {name}，然后 umzug-backfill up；或把步骤文件改回原样，先将其完成',
  'The text of the function `process` of {name} has changed since its first batch, and the backfill is not finished':
    '{name} 的函数 `process` 与开始填充时的文本不同，而该回填尚未完成',
  'Run it again with --yes if it derives the same values; if not, restore the old function and revert with it: umzug-backfill down --to {name}; then apply the new one: umzug-backfill up':
    '如果它推导出相同的值，请加 --yes 重新运行；否则请先改回原样，撤回它已填充的内容：umzug-backfill down --to {name}；再换上新的函数：umzug-backfill up',
  'The text of the function `process` of {name} has changed since it filled: raise processVersion if it derives other values':
    '{name} 的函数 `process` 与填充时的文本不同：如果它推导出不同的值，请提高 processVersion',
  '`process` of {name} threw: {thrown}': '{name} 的 `process` 抛出了异常：{thrown}',
  'Expected the reason of skip() to be a code in capitals that this package does not use':
    'skip() 的原因应为大写代码，且不能是本软件包的代码',
  'Use a code such as NO_SURNAME: it is recorded and printed, so it must not contain data of the row':
    '请使用类似 NO_SURNAME 的名称：它会被记录和显示，不得包含数据内容',
  '`process` of {name} returned a value for {column}, which is not one of its `columns`':
    '{name} 的 `process` 返回了 {column} 的值，而它不在其 `columns` 中',
  function: '函数',
  '`process` of {name} returned a promise, but must be synchronous':
    '{name} 的 `process` 返回了 promise，它必须是同步的',
  'Load what it waits for before the run: a batch is one transaction, which cannot wait':
    '请在运行之前加载它要等待的内容：一个批次就是一个事务，不能等待',
  '`process` of {name} returned a value that is not a string, a finite number, a bigint, bytes or null':
    '{name} 的 `process` 返回的值不是字符串、有限数、bigint、字节或 null',
  '`process` of {name} did not return an array with one object per row':
    '{name} 的 `process` 没有返回每行对应一个对象的数组',
  'Fix it, then run the same command again; nothing of this batch was written':
    '请修正后再次运行同一命令；该批次没有写入任何内容',
  'The store has no table {table}, so its version is unknown': '存储中没有表 {table}，因此无法得知其版本',
  'Pass the path of a store that the application created: --db-path /path/to/store.db':
    '请给出由应用程序创建的存储的路径： --db-path /path/to/store.db',
  'Inspect it with: sqlite3 STORE {sql}': '请查看： sqlite3 STORE {sql}',
  'The column {column} of {table} is generated: reading it would run code of the author of the file':
    '{table} 的列 {column} 是生成列：读取它会运行文件作者所写的内容',
  'Set `version.column` to a column that the application writes':
    '请将 `version.column` 设为由应用程序写入的列',
  "The table {table} is empty, so the store's version is unknown": '表 {table} 为空，因此无法得知存储的版本',
  'Open the store with the application once, so that it writes its version':
    '请用应用程序打开一次该存储，使其写入自己的版本',
  'The table {table} contains a row that is not a version': '表 {table} 中有一行不是版本号',
  '`{version}` is not a version': '`{version}` 不是版本号',
  '{option} is for a PostgreSQL database': '{option} 只能用于 PostgreSQL 数据库',
  'Remove it: one process at a time writes to a file; --concurrency is for several files':
    '请去掉它：同一时间只有一个进程写入文件；多个文件请用 --concurrency',
  '{kind} {name}': '{kind} {name}',
  'Creating {kind} {name}': '创建{kind} {name} ',
  'Drop or fix {object}, then run the same command again; nothing was changed':
    '请删除或修正 {object}，再次运行同一命令；未做任何更改',
  '{what} on the table {table} is blocked by {object}': '在表 {table} 上{what}时被 {object} 阻挡',
  'The SQL of {name} cannot be printed: a name in it contains an invisible character':
    '{name} 的 SQL 无法打印：其中有名称含有不可见字符',
  "Trying the step on a copy of the store's schema took longer than {seconds} s":
    '在存储模式的副本上试运行该步骤超过了 {seconds} 秒',
  "The process that tries the step on a copy of the store's schema ended early ({code})":
    '在存储模式的副本上试运行该步骤的进程提前结束（{code}）',
  'Inspect the schema if you do not trust its author: sqlite3 -safe STORE .schema; else run the same command again when the machine is less busy; nothing was changed':
    '若不信任该文件的作者，请用 sqlite3 -safe STORE .schema 查看其模式；否则请在机器不忙时再次运行同一命令；未做任何更改',
  'another object': '其他对象',
  '{what} on the table {table} is blocked by {object}: it uses {used}, which SQLite rejects in the schema of a file':
    '在表 {table} 上{what}时被 {object} 阻挡：它使用了 {used}，而 SQLite 不允许文件的模式使用它',
  'Drop {object}, run the same command again, then recreate it; nothing was changed':
    '请删除 {object}，再次运行同一命令，然后重新创建它；未做任何更改',
  Filling: '填充',
  'generated column': '生成列',
  'another {kind} named {name}': '另一个名为 {name} 的{kind}',
  '`down` will be blocked by {object}': '`down` 将被 {object} 阻挡',
  '`down`': '执行 `down` ',
  'An UPDATE': '执行 UPDATE',
  'while the WAL of {backfill} was pinned': '在等待 {backfill} 被占住的 WAL 时',
  'The WAL has grown to {size} MiB, because another program keeps a read transaction open; every committed batch is kept':
    '由于另一个程序一直开着读事务，WAL 已增长到 {size} MiB；所有已提交的批次均予保留',
  'Stop the program that reads (lsof STORE-wal lists those that have it open), then run the same command again; it resumes where it stopped; or allow a larger WAL: --wal-limit MIB':
    '请结束正在读取的程序（ lsof STORE-wal 会列出打开它的程序），再次运行同一命令，它会从停止处继续；也可用 --wal-limit MIB 允许更大的 WAL',
  'The {type} {name} is not part of the ledger that this program creates, and would act when the ledger is read or written':
    '{type} {name} 不属于本程序所建的账本，会在读写账本时起作用',
  'Restore a backup that you trust: umzug-backfill restore FILE; nothing was changed':
    '请恢复您信任的备份： umzug-backfill restore FILE ；未做任何更改',
  'Drop it if you know it: sqlite3 STORE {sql}; else restore a backup that you trust: umzug-backfill restore FILE; nothing was changed':
    '若您认识它，请将其删除： sqlite3 STORE {sql} ；否则请恢复您信任的备份： umzug-backfill restore FILE ；未做任何更改',
  "An entry of the store's schema has a type, name or SQL that is not text: {name}":
    '存储的模式中有一个条目的类型、名称或 SQL 不是文本：{name}',
  "The text of the {type} {name} in the store's schema is not one CREATE {word} statement":
    '存储的模式中{type} {name} 的文本不是单独一条 CREATE {word} 语句',
  'Inspect it, as SQLite does not write such a text: sqlite3 -safe STORE {sql}; then restore a backup that you trust: umzug-backfill restore FILE; nothing was changed':
    'SQLite 不会写出这样的文本：请用 sqlite3 -safe STORE {sql} 查看，并恢复您信任的备份： umzug-backfill restore FILE ；未做任何更改',
  'it is not the only column of the primary key or of a unique index': '它不是主键或唯一索引中唯一的列',
  'its declared type is neither an integer nor a text type': '其声明类型既不是整数也不是文本',
  'its collation is not BINARY': '其排序规则不是 BINARY',
  'texts in this store are UTF-16': '该存储的文本为 UTF-16 编码',
  'it contains texts that are not valid UTF-8, or contain a NUL': '它含有无效的 UTF-8 文本，或文本中有 NUL',
  'materialized view': '物化视图',
  sequence: '序列',
  'foreign table': '外部表',
  'The table {table} belongs to {owner}, whose triggers and indexes could run code as this user, a superuser':
    '表 {table} 属于 {owner} ，其触发器和索引可能以当前用户（超级用户）的身份运行代码',
  'Grant it to this role, or run the same command as the owner of {table}; nothing was changed':
    '请将其授予该角色，或以 {table} 的所有者身份运行同一命令；未做任何更改',
  'the missing right {right}': '缺少的权限（{right}）',
  'table {name}, whose partition it is': '表 {name}（它是其分区）',
  'Declare the step for {table}, whose columns are those of its partitions, and backfills for the partitions; nothing was changed':
    '请为 {table} 声明该步骤（其列即各分区的列），并为各分区声明回填；未做任何更改',
  'to own the table': '表的所有者',
  'CREATE on its schema': '其模式上的 CREATE',
  'BYPASSRLS, without which policies hide rows': 'BYPASSRLS，没有它，行级安全策略会隐藏行',
  'its name of more than {bytes} bytes': '其超过 {bytes} 字节的名称',
  'its declaration': '其声明',
  'invalid index': '无效的索引',
  rule: '规则',
  constraint: '约束',
  policy: '行级安全策略',
  statistics: '扩展统计信息',
  publication: '发布',
  'other tables inherit from this one, and their rows may have the same key':
    '有其他表继承自此表，它们的行可能具有相同的键',
  'its collation is not C': '其排序规则不是 C',
  'Declare a backfill for each partition of {table}, and a schema step for {table} itself; each partition needs the index for batches: CREATE UNIQUE INDEX CONCURRENTLY ON PARTITION ({key})':
    '请为 {table} 的每个分区声明一个回填，并为 {table} 本身声明结构步骤；每个分区需要批次所用的索引：CREATE UNIQUE INDEX CONCURRENTLY ON PARTITION ({key})',
  'The server is a replica, which is read-only': '服务器是副本，只能读取',
  'Pass the primary in --database-url': '请在 --database-url 中指定主服务器',
  'The server is read-only: default_transaction_read_only is on':
    '服务器被设置为不接受写入：default_transaction_read_only 为 on',
  'Check why first, as some servers set it when their disk is full; then reset it for the server, the database or the role, and run the same command again':
    '请先查明原因：有些服务器在磁盘已满时会设置它。然后在服务器、数据库或角色上重置它，再次运行同一命令',
  'This user may not create temporary functions, which PostgreSQL before 16 needs to recognize JSON':
    '该用户不能创建临时函数；没有它，PostgreSQL 16 之前的版本无法判断哪些文本是 JSON',
  'Grant it: GRANT TEMPORARY ON DATABASE … TO …; a replica allows none':
    '请授予权限： GRANT TEMPORARY ON DATABASE … TO … ；副本上无法创建',
  'The schema {schema} of the search path belongs to {owner}, whose objects in it could run code as this user, a superuser':
    'search_path 中的模式 {schema} 属于 {owner} ，其中的对象可能以当前用户（超级用户）的身份运行代码',
  'The role {role} may create objects in the schema {schema} of the search path, which could run code as this user':
    '角色 {role} 可以在 search_path 中的模式 {schema} 里创建对象，这些对象可能以当前用户的身份运行代码',
  'Remove the schema from the search path: ALTER ROLE … SET search_path = …; or run it again with --yes if {role} may do whatever this user may':
    '请从 search_path 中去掉该模式： ALTER ROLE … SET search_path = … ；如果 {role} 可以做当前用户能做的一切，请加上 --yes 再次运行',
  'Revoke that right: {statements}; or run it again with --yes if {role} may do whatever this user may':
    '请收回该权限： {statements} ；如果 {role} 可以做当前用户能做的一切，请加上 --yes 再次运行',
  'Revoke that right, as {owner}: {statements}; or run it again with --yes if {role} may do whatever this user may':
    '请以 {owner} 的身份收回该权限： {statements} ；如果 {role} 可以做当前用户能做的一切，请加上 --yes 再次运行',
  'Connect as {owner}, because a trigger can undo SET ROLE; or run it again with --yes if {owner} may do whatever a superuser may':
    '请以 {owner} 的身份连接（触发器可以撤销 SET ROLE）；如果 {owner} 可以做超级用户能做的一切，也可以加上 --yes 再次运行',
  'it is not a plain table': '它不是普通的表',
  'it has triggers': '它带有触发器',
  'it has rules': '它带有规则',
  'it has row security': '它启用了行级安全',
  'it has constraints': '它带有其他约束',
  'it has defaults': '它带有其他默认值',
  'it has other types': '它的列类型不同',
  'it has indexes on expressions': '它带有表达式索引',
  'it has inheriting tables or partitions': '它带有继承表或分区',
  "The ledger's table {table} belongs to {owner}, and this user lacks the right {right} on it":
    '账本的表 {table} 属于 {owner} ，而当前用户对它没有 {right} 权限',
  'Hand the ledger over to the owner of the tables, as {owner}: {statements}':
    '请以 {owner} 的身份将账本移交给这些表的所有者： {statements}',
  "The ledger's table {table} is not as this program creates it: {fault}":
    '账本的表 {table} 与本程序所建的不同：{fault}',
  'Connect as {owner} and remove what was added to it, if it is the ledger of that role; if it was planted, drop it: {statement}':
    '如果它是 {owner} 的账本，请以该角色连接并去掉附加的内容；如果它是被植入的，请删除它： {statement}',
  "The ledger's table {table} is not as this program creates it: it belongs to {owner}":
    '账本的表 {table} 与本程序所建的不同：它属于 {owner}',
  'Hand it over, if you know it as the ledger of {owner}, as that role: {statements}; if it was planted, drop it: {statement}':
    '如果您知道它是 {owner} 的账本，请以该角色移交它： {statements} ；如果它是被植入的，请删除它： {statement}',
  "The role {role} may write the ledger's table {table}, which decides what SQL this user runs":
    '角色 {role} 可以写入账本的表 {table} ，而该表决定当前用户运行哪些 SQL',
  'while waiting for a replica to catch up with {backfill}': '在等待副本跟上 {backfill} 的批次时',
  'No backup is made of a PostgreSQL database: use its own means, such as pg_dump':
    '本程序不备份 PostgreSQL 数据库：请使用其自身的工具，例如 pg_dump',
  'PostgreSQL did not complete the index {name}': 'PostgreSQL 没有完成索引 {name} 的创建',
  'Run the same command again; it recreates the index': '请再次运行同一命令：它会重新创建该索引',
} as const satisfies Catalogue;
