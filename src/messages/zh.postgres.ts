import type { Catalog } from './translate.js';

/** What is told of a store that is a database of PostgreSQL. */
export const zhPostgres = {
  // how it is named
  '{option} is for a database of PostgreSQL': '{option} 只能用于 PostgreSQL 数据库',
  'Leave it out: one process at a time writes to a file, and --concurrency is for several files':
    '请去掉它：同一时间只有一个进程写入文件；多个文件请用 --concurrency',
  '{option} is for a store that is a file': '{option} 只能用于文件形式的存储',
  'Leave it out: a database of a server is backed up and kept by its own means':
    '请去掉它：服务器上的数据库用其自身的工具备份和维护',
  'The command restore is for a store that is a file': '命令 restore 只能用于文件形式的存储',
  'Restore a database of a server by its own means, as pg_restore':
    '请用服务器自身的工具恢复数据库，例如 pg_restore',
  '--print-sql is for the sqlite3 shell, and this store is one of PostgreSQL':
    '--print-sql 用于 sqlite3 命令行，而该存储属于 PostgreSQL',
  'Run it without: umzug-backfill verify': '请不带该选项运行： umzug-backfill verify',
  '`database.postgres` of {what}': '{what} 的 `database.postgres`',
  '`database.postgres.defaults` of {what}': '{what} 的 `database.postgres.defaults`',
  '`{option}` of {what}': '{what} 的 `{option}`',

  // the server
  'The server is a replica, which can only be read': '服务器是副本，只能读取',
  'The server is set to take no writes: default_transaction_read_only is on':
    '服务器被设置为不接受写入：default_transaction_read_only 为 on',
  'Find out why first: some servers set it when their disk is full. Then reset it for the server, the database or the role, and run the same command again':
    '请先查明原因：有些服务器在磁盘已满时会设置它。然后在服务器、数据库或角色上重置它，再次运行同一命令',
  'Pass the primary with --database-url': '请在 --database-url 中指定主服务器',
  'The role {role} may create objects in the schema {schema} of the search path, and what it plants there could run as this user':
    '角色 {role} 可以在 search_path 中的模式 {schema} 里创建对象，它在那里植入的代码可能以当前用户的身份运行',
  'Leave the schema out of the search path: ALTER ROLE … SET search_path = …; if {role} may do whatever this user may, run it again with --yes':
    '请从 search_path 中去掉该模式： ALTER ROLE … SET search_path = … ；如果 {role} 可以做当前用户能做的一切，请加上 --yes 再次运行',
  'Take that right away, as {owner}: {statements}; if {role} may do whatever this user may, run it again with --yes':
    '请以 {owner} 的身份收回该权限： {statements} ；如果 {role} 可以做当前用户能做的一切，请加上 --yes 再次运行',
  'The schema {schema} of the search path belongs to {owner}, and this user is a superuser, as which what that owner plants there could run':
    'search_path 中的模式 {schema} 属于 {owner} ，而当前用户是超级用户，该所有者在那里植入的代码可能以超级用户的身份运行',
  'The table {table} belongs to {owner}, and this user is a superuser, as which triggers and indexes of that owner could run code':
    '表 {table} 属于 {owner} ，而当前用户是超级用户，该所有者的触发器和索引可能以超级用户的身份运行代码',
  'Connect as {owner}, since a trigger can undo SET ROLE; if {role} may do whatever a superuser may, run it again with --yes':
    '请以 {owner} 的身份连接（触发器可以撤销 SET ROLE）；如果 {role} 可以做超级用户能做的一切，请加上 --yes 再次运行',
  "The ledger's table {table} is not as this program makes it: it belongs to {owner}":
    '账本的表 {table} 与本程序所建的不同：它属于 {owner}',
  "The ledger's table {table} is not as this program makes it: it {~what}":
    '账本的表 {table} 与本程序所建的不同：{what}',
  'is no plain table': '它不是普通的表',
  'has triggers': '它带有触发器',
  'has rules': '它带有规则',
  'has row security': '它启用了行级安全',
  'has constraints': '它带有其他约束',
  'has defaults': '它带有其他默认值',
  'has other types': '它的列类型不同',
  'has indexes on expressions': '它带有表达式索引',
  'has heirs or partitions': '它带有继承表或分区',
  'If it is the ledger of {owner}, connect as that role and take off what was added to it; if it was planted, drop it: {statement}':
    '如果它是 {owner} 的账本，请以该角色连接并去掉附加的内容；如果它是被植入的，请删除它： {statement}',
  'If you know it as the ledger of {owner}, hand it over, as that role: {statements}; if it was planted, drop it: {statement}':
    '如果您知道它是 {owner} 的账本，请以该角色移交它： {statements} ；如果它是被植入的，请删除它： {statement}',
  "The ledger's table {table} belongs to {owner}, and this user lacks the right {right} on it":
    '账本的表 {table} 属于 {owner} ，而当前用户对它没有 {right} 权限',
  'Hand the ledger over to the owner of the tables, as {owner}: {statements}':
    '请以 {owner} 的身份将账本移交给这些表的所有者： {statements}',
  "The role {role} may write the ledger's table {table}, which says what SQL this user runs":
    '角色 {role} 可以写入账本的表 {table} ，而该表决定当前用户运行哪些 SQL',
  'Take that right away: {statements}; if {role} may do whatever this user may, run it again with --yes':
    '请收回该权限： {statements} ；如果 {role} 可以做当前用户能做的一切，请加上 --yes 再次运行',
  'This user may not make a temporary function, without which PostgreSQL before 16 can not tell which texts are JSON':
    '该用户不能创建临时函数；没有它，PostgreSQL 16 之前的版本无法判断哪些文本是 JSON',
  'Let it: GRANT TEMPORARY ON DATABASE … TO …; a replica has none':
    '请授予权限： GRANT TEMPORARY ON DATABASE … TO … ；副本上无法创建',
  'No backup is made of a database: its server has its own, as pg_dump makes one':
    '本程序不备份数据库：请使用服务器自身的备份，例如用 pg_dump',

  // its schema
  'PostgreSQL did not complete the index {name}': 'PostgreSQL 没有完成索引 {name} 的创建',
  'Run the same command again: it makes the index anew': '请再次运行同一命令：它会重新创建该索引',
  'other tables inherit from this one, and rows of theirs may have the same key':
    '有其他表继承自此表，它们的行可能具有相同的键',
  'its collation is not C': '其排序规则不是 C',
  'the missing right {~right}': '缺少的权限（{right}）',
  'to own the table': '表的所有者',
  'CREATE on its schema': '其模式上的 CREATE',
  'BYPASSRLS, without which policies hide rows': 'BYPASSRLS，没有它，行级安全策略会隐藏行',
  'Grant it to this role, or run the same command as the owner of {table}; nothing was changed':
    '请将其授予该角色，或以 {table} 的所有者身份运行同一命令；未做任何更改',
  'table {name}, of which it is a partition': '表 {name}（它是其分区）',
  'Declare the step for {table}, whose columns are those of its partitions, and backfills for the partitions; nothing was changed':
    '请为 {table} 声明该步骤（其列即各分区的列），并为各分区声明回填；未做任何更改',
  'Declare a backfill for each partition of {table}, and a schema step for {table} itself; a partition can have the index that batches go by: CREATE UNIQUE INDEX CONCURRENTLY ON PARTITION ({key})':
    '请为 {table} 的每个分区声明一个回填，并为 {table} 本身声明结构步骤；分区可以拥有批次所依据的索引：CREATE UNIQUE INDEX CONCURRENTLY ON PARTITION ({key})',
  '{~message}, and a run is in progress: {~who}': '{message}，且有运行正在进行：{who}',
  'Wait until it has ended, then run the same command again; umzug-backfill status says how far it is':
    '请等待其结束，然后重新运行同一命令；umzug-backfill status 会显示进度',
  'Making column {name}': '创建列 {name} ',
  'another column named {name}': '另一个名为 {name} 的列',
  'its declaration': '其声明',
  'its name of more than {#bytes} bytes': '其超过 {bytes} 字节的名称',
  'invalid index {name}': '无效的索引 {name}',
  object: '对象',
  'materialized view': '物化视图',
  'foreign table': '外部表',
  sequence: '序列',
  type: '类型',
  'materialized view {name}': '物化视图 {name}',
  'foreign table {name}': '外部表 {name}',
  'sequence {name}': '序列 {name}',
  'type {name}': '类型 {name}',
  'rule {name}': '规则 {name}',
  'constraint {name}': '约束 {name}',
  'policy {name}': '行级安全策略 {name}',
  'function {name}': '函数 {name}',
  'statistics {name}': '扩展统计信息 {name}',
  'publication {name}': '发布 {name}',

  // which database
  '{~hint}; DATABASE_URL names a database: pass --postgres to use it':
    '{hint} ； DATABASE_URL 指定了数据库：要使用它，请传入 --postgres',
  'Leave --db-path out, and name the database with --database-url or DATABASE_URL when a command runs':
    '省略 --db-path，在运行命令时用 --database-url 或 DATABASE_URL 指定数据库',
  'Give the database of the application with --database-url, add ?options=-csearch_path%3DNAME to the URL where the table is in another schema, or mend the declaration':
    '请用 --database-url 给出应用程序的数据库；若表在另一个模式中，请在 URL 后加上 ?options=-csearch_path%3DNAME；或修正声明',

  // the run
  'Worker {#number} of {#count} has ended early, and the others do its part: {code}: {~message}':
    '第 {number} 个工作会话（共 {count} 个）提前结束，由其他会话完成其部分：{code}：{message}',
  'took part in filling {name}': '已参与填充 {name}',
  'The database grew by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.':
    '数据库增大了 {change}，现为 {size}；autovacuum 会释放被更新的行的旧版本。',
  'The database shrank by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.':
    '数据库减小了 {change}，现为 {size}；autovacuum 会释放被更新的行的旧版本。',
  '{what} is for a store that is a file, and got a URL': '{what} 用于文件形式的存储，而得到的是 URL',
  'Use createMigrator() for a database of PostgreSQL': 'PostgreSQL 数据库请使用 createMigrator()',
} as const satisfies Catalog;
