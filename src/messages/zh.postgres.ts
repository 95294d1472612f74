import type { Catalog } from './translate.js';

/** What is told of a store that is a database of PostgreSQL. */
export const zhPostgres = {
  // how it is named
  'Two stores are named, by {sources}': '指定了两个存储：{sources}',
  'Name one: leave one of the options out, or unset the variable':
    '请只指定一个：去掉其中一个选项，或取消设置该环境变量',
  'The URL of the database is none of PostgreSQL': '数据库的 URL 不是 PostgreSQL 的 URL',
  'Write it as postgres://USER@HOST:5432/DATABASE': '请写成 postgres://USER@HOST:5432/DATABASE',
  '{type} says that the store is a database of PostgreSQL, and {name} does not say which':
    '{type} 表明存储是 PostgreSQL 数据库，但 {name} 没有说明是哪一个',
  'Set {name}, {host} and {user}, or give --database-url':
    '请设置 {name}、{host} 和 {user} ，或给出 --database-url',
  'No store is named: the config has no `database.path`': '没有指定存储：配置文件中没有 `database.path`',
  'Pass --db-path PATH, --database-url URL, or --postgres with DATABASE_URL set; or set `database.path` in the config file':
    '请传入 --db-path PATH 、 --database-url URL ，或在设置 DATABASE_URL 后传入 --postgres ；或在配置文件中设置 `database.path`',
  '--postgres takes the URL of the database from DATABASE_URL, which is not set':
    '--postgres 从 DATABASE_URL 取得数据库的 URL，但该环境变量未设置',
  'Set it, or give --database-url postgres://USER@HOST:5432/DATABASE':
    '请设置它，或给出 --database-url postgres://USER@HOST:5432/DATABASE',
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
  'The driver of PostgreSQL is not installed': '未安装 PostgreSQL 的驱动程序',
  'Install it beside this package: npm install pg': '请在本软件包旁安装它： npm install pg',
  'The server can not read a statement': '服务器无法读取一条语句',
  'Remove U+0000 from the SQL of the steps: PostgreSQL has no text with it':
    '请从步骤的 SQL 中去掉 U+0000：PostgreSQL 的文本不能包含它',
  'A statement needs a deeper stack than the server has': '一条语句需要的栈深度超过了服务器的栈深度',
  'Raise max_stack_depth of the server, then run the same command again; it resumes where it stopped':
    '请调高服务器的 max_stack_depth，然后再次运行同一命令；将从停下的地方继续',
  'The server can not be reached, or the connection was lost': '无法连接服务器，或连接已断开',
  'Check the address, and that the server is up; then run the same command again':
    '请检查地址，并确认服务器正在运行；然后再次运行同一命令',
  'The server has ended the connection, or is not up yet': '服务器已结束连接，或尚未启动完成',
  'The connection to the server was lost': '与服务器的连接已断开',
  'Run the same command again when it is up; it resumes where it stopped':
    '请在服务器运行之后再次运行同一命令；它会从停止处继续',
  'The server does not let this user in': '服务器不允许该用户登录',
  'Check the user and the password, and the rules of pg_hba.conf':
    '请检查用户名和密码，以及 pg_hba.conf 中的规则',
  'The server has no database of this name': '服务器上没有该名称的数据库',
  'Name one that the application has made: --database-url postgres://HOST/DATABASE; none is ever created':
    '请指定由应用程序创建的数据库： --database-url postgres://HOST/DATABASE ；本程序从不新建数据库',
  'This user may not do it': '该用户没有相应的权限',
  'Run the command as the owner of the tables, or give this user the right':
    '请以表的所有者身份运行命令，或授予该用户相应的权限',
  'The server takes no writes: it is a replica, or set to be read only':
    '服务器不接受写入：它是副本，或被设置为只读',
  'The server is a replica, which can only be read': '服务器是副本，只能读取',
  'The server is set to take no writes: default_transaction_read_only is on':
    '服务器被设置为不接受写入：default_transaction_read_only 为 on',
  'Find out why first: some servers set it when their disk is full. Then reset it for the server, the database or the role, and run the same command again':
    '请先查明原因：有些服务器在磁盘已满时会设置它。然后在服务器、数据库或角色上重置它，再次运行同一命令',
  'The server did not let the connection in within the time for that': '服务器未在规定时间内接受连接',
  'Check the address, and that the server is up; then run the same command again, with more time where it is slow: PGCONNECT_TIMEOUT=60':
    '请检查地址以及服务器是否已启动，然后再次运行同一命令；如果服务器较慢，请给予更多时间： PGCONNECT_TIMEOUT=60',
  'The thread of the connection has ended, as it does when an answer is too large for the memory of this process':
    '连接的线程已结束；当应答超出此进程的内存时会如此',
  'Run the same command again with more memory or smaller batches: NODE_OPTIONS=--max-old-space-size=4096, or --batch-size 500':
    '请以更多内存或更小的批次再次运行同一命令： NODE_OPTIONS=--max-old-space-size=4096 ，或 --batch-size 500',
  'A statement of the step has released the run lock of the store': '该步骤中的语句释放了存储的运行锁',
  'Remove pg_advisory_unlock_all() and its kind from the step; nothing of it was kept':
    '请从该步骤中删除 pg_advisory_unlock_all() 之类的语句；该步骤的任何内容都未保留',
  'Name the primary in --database-url': '请在 --database-url 中指定主服务器',
  'The disk of the server is full': '服务器的磁盘已满',
  'Make room there, then run the same command again; it resumes where it stopped':
    '请在服务器上腾出空间，再次运行同一命令；它会从停止处继续',
  'The server has no room for another connection, or for the work of this one':
    '服务器没有余力接受新的连接，或完成当前连接的工作',
  'Run the same command again when fewer are at work there': '请在服务器较空闲时再次运行同一命令',
  'The server reports that the data are damaged': '服务器报告数据已损坏',
  'Look at the log of the server; restore the database from its own backup if that says so':
    '请查看服务器的日志；如果日志确认损坏，请从服务器自身的备份恢复数据库',
  'The server reports that an index is damaged': '服务器报告某个索引已损坏',
  'Make it again: REINDEX DATABASE, then run the same command again':
    '请重建索引： REINDEX DATABASE ，然后再次运行同一命令',
  'Another connection kept a lock for longer than the wait': '另一个连接持有锁的时间超过了等待时间',
  'End or pause the other one, then run the same command again; nothing done so far is lost':
    '请结束或暂停另一个连接，再次运行同一命令；已完成的部分不会丢失',
  'Other transactions wrote the same rows again and again': '其他事务反复写入相同的行',
  'PostgreSQL refused a statement': 'PostgreSQL 拒绝了一条语句',
  'Look the code up in the appendix "PostgreSQL Error Codes" of its manual, and compare the schema with what the steps expect':
    '请在 PostgreSQL 手册的附录 "PostgreSQL Error Codes" 中查找该代码，并将模式与步骤所期望的对比',
  'The server is PostgreSQL {version}, and 13 is the oldest supported':
    '服务器为 PostgreSQL {version}，而所支持的最低版本为 13',
  'Update the server': '请升级服务器',
  'The database is in {encoding}, and only UTF8 holds every text':
    '数据库的编码为 {encoding}，而只有 UTF8 能保存所有文本',
  'Use a database that was created with ENCODING UTF8': '请使用以 ENCODING UTF8 创建的数据库',
  'No schema of the search_path exists': 'search_path 中的模式都不存在',
  'Name one: --database-url "postgres://…?options=-csearch_path%3DNAME"':
    '请指定一个： --database-url "postgres://…?options=-csearch_path%3DNAME"',
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
  'The connection goes through a pooler that gives each transaction another session':
    '连接经过连接池，而该连接池为每个事务分配不同的会话',
  'Name the server itself in --database-url, or a pool in session mode':
    '请在 --database-url 中直接指定服务器，或使用会话模式的连接池',
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
  'Stopped by {signal} while the database was waited for; every committed batch is kept':
    '在等待数据库时被 {signal} 停止；所有已提交的批次均予保留',
  'Stopped by {signal} between two transactions; every committed batch is kept':
    '在两个事务之间被 {signal} 停止；所有已提交的批次均予保留',
  'Stopped by {signal} while another run was waited for; every committed batch is kept':
    '在等待另一次运行时被 {signal} 停止；所有已提交的批次均予保留',
  'Stopped by {signal} while a replica was behind the batches of {backfill}; every committed batch is kept':
    '在等待副本跟上 {backfill} 的批次时被 {signal} 停止；所有已提交的批次均予保留',
  'Worker {#number} of {#count} has ended early, and the others do its part: {code}: {~message}':
    '第 {number} 个工作会话（共 {count} 个）提前结束，由其他会话完成其部分：{code}：{message}',
  'took part in filling {name}': '已参与填充 {name}',
  'The database grew by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.':
    '数据库增大了 {change}，现为 {size}；autovacuum 会释放被更新的行的旧版本。',
  'The database shrank by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.':
    '数据库减小了 {change}，现为 {size}；autovacuum 会释放被更新的行的旧版本。',
  'A statement was given to a connection while its transaction was open, or to a transaction that has ended':
    '在事务打开期间把语句交给了连接，或者交给了已结束的事务',
  'A store of another engine was given to PostgreSQL': '把另一种引擎的存储传给了 PostgreSQL',
  'A store of another engine was given to SQLite': '把另一种引擎的存储传给了 SQLite',
  'Report it': '请报告此问题',
  '{what} is for a store that is a file, and got a URL': '{what} 用于文件形式的存储，而得到的是 URL',
  'Use createMigrator() for a database of PostgreSQL': 'PostgreSQL 数据库请使用 createMigrator()',
  '{host} and {port} do not name a server': '{host} 与 {port} 没有指明一台服务器',
  'Set {host} to a name or an address, and {port} to a number':
    '请将 {host} 设为名称或地址，将 {port} 设为数字',
} as const satisfies Catalog;
