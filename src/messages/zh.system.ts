import type { Catalogue } from './message.js';

/** What SQLite, PostgreSQL, the operating system and Node report. */
export const zhSystem = {
  'Node {node} cannot load better-sqlite3: it is not compiled for this version':
    'Node {node} 无法加载 better-sqlite3 ：它没有为此版本编译',
  'better-sqlite3 is compiled for another Node (NODE_MODULE_VERSION {its}) than {node} ({own})':
    'better-sqlite3 是为另一个 Node（NODE_MODULE_VERSION {its}）编译的，而当前的是 {node}（{own}）',
  'Recompile it: npm rebuild better-sqlite3; or run the Node that it was installed with':
    '请重新编译： npm rebuild better-sqlite3 ；或使用安装时所用的 Node',
  'Node {node} is too old: this program requires {versions}': 'Node {node} 太旧：本程序需要 {versions}',
  'Install a supported Node, then recompile the SQLite driver: npm rebuild better-sqlite3':
    '请安装受支持的 Node，然后重新编译 SQLite 的驱动： npm rebuild better-sqlite3',
  'The store has a hot journal: a writer died in the middle of a transaction':
    '存储有热日志：某个写入者在事务中途终止',
  'The folder of the store cannot be written, and SQLite keeps its journal there':
    '无法写入存储所在的文件夹，而 SQLite 的日志存放在那里',
  'SQLite cannot open the store or create its -wal and -shm files':
    'SQLite 无法打开存储，或无法创建其 -wal 和 -shm 文件',
  'The store was moved or replaced while it was in use': '存储在使用期间被移动或替换',
  'Other processes kept the WAL index locked for longer than the timeout':
    '其他进程锁住 WAL 索引的时间超过了等待上限',
  'This user cannot write the store': '当前用户无法写入存储',
  'Another process kept the store locked for longer than the timeout':
    '另一个进程锁住存储的时间超过了等待上限',
  'The store is locked by another connection of this process': '存储被本进程的另一个连接锁住',
  'The disk is full, or the store has reached its page limit': '磁盘已满，或存储已达到其页数上限',
  'The disk has no space for the WAL index, the -shm file of the store':
    '磁盘没有空间存放 WAL 索引，即存储的 -shm 文件',
  'Reading or writing the store failed in the operating system': '操作系统读写存储失败',
  'The file is not an SQLite database': '该文件不是 SQLite 数据库',
  'SQLite reports that the store is damaged': 'SQLite 报告存储已损坏',
  'The disk is full': '磁盘已满',
  'The disk quota of this user is exceeded': '已超出当前用户的磁盘配额',
  'Reading or writing a file failed in the operating system': '操作系统读写文件失败',
  'This user may not write a file': '当前用户无权写入文件',
  'This user may not change a file': '当前用户无权更改文件',
  'User id {id} has no access to {path}': '用户 ID {id} 无权访问 {path}',
  'User id {id} may not change {path}': '用户 ID {id} 无权更改 {path}',
  'The disk is mounted read-only': '磁盘以只读方式挂载',
  'SQLite rejected a statement': 'SQLite 拒绝了一条语句',
  'An unexpected error occurred': '发生了未预料到的错误',
  '{message} ({code})': '{message}（{code}）',
  '{message} {doing} ({code})': '{doing}：{message}（{code}）',
  'SQLite rejects {used} in the schema of a file, and a trigger or a view uses it':
    'SQLite 不允许文件的模式使用 {used}，而某个触发器或视图使用了它',
  'SQLite rejects {used} in the schema of a file, and it is used by {objects}':
    'SQLite 不允许文件的模式使用 {used}，而以下对象使用了它：{objects}',
  'the virtual table {name}': '虚拟表 {name}',
  'Run the same command again; nothing done so far is lost': '请再次运行同一命令；已完成的部分不会丢失',
  'Run the same command again on the file that is there now': '请对现在位于该处的文件再次运行同一命令',
  'Run it again with --log-level debug, and report what it prints':
    '请加上 --log-level debug 再次运行，并报告其输出',
  'Stop or pause the other writer, then run the same command again; nothing done so far is lost':
    '请结束或暂停另一个写入者，再次运行同一命令；已完成的部分不会丢失',
  'Close the other connection, then run the same command again': '请关闭另一个连接，再次运行同一命令',
  'Pass the path of the store with --db-path; if this is the store, it is damaged: restore its newest backup with umzug-backfill restore':
    '请用 --db-path 给出存储的路径；如果路径无误，则存储已损坏，可用 umzug-backfill restore 恢复到最新的备份',
  'Check it with: sqlite3 STORE "PRAGMA integrity_check"; if that fails, restore a backup: umzug-backfill restore':
    '请检查存储： sqlite3 STORE "PRAGMA integrity_check" ；如果未通过，请恢复到备份： umzug-backfill restore',
  'Open the store for writing once, so that SQLite rolls it back: sqlite3 STORE "SELECT 1 FROM sqlite_schema"':
    '请以可写方式打开一次存储，让 SQLite 回滚它： sqlite3 STORE "SELECT 1 FROM sqlite_schema"',
  'Grant this user write permission on the store: chmod u+w STORE':
    '请授予当前用户存储的写权限： chmod u+w STORE',
  'Grant this user write permission on the folder of the store': '请授予当前用户存储所在文件夹的写权限',
  'Grant this user read and write permission on the store and its folder':
    '请授予当前用户存储及其所在文件夹的读写权限',
  'Grant this user read and write permission on it and its folder':
    '请授予当前用户对它及其所在文件夹的读写权限',
  'Run the command as the owner of the store': '请以存储的所有者身份运行',
  'Mount it read-write': '请以可写方式挂载',
  'Free disk space, then run the same command again': '请释放磁盘空间，再次运行同一命令',
  'Free disk space, then run the same command again; it resumes where it stopped':
    '请释放磁盘空间，再次运行同一命令；它会从停止处继续',
  'Check the disk (dmesg)': '请检查磁盘（ dmesg ）',
  'Check the disk (dmesg), then run the same command again; it resumes where it stopped':
    '请检查磁盘（ dmesg ），再次运行同一命令；它会从停止处继续',
  'Find the object that uses it with: sqlite3 STORE .schema; drop it, run the same command again, then recreate it':
    '请用 sqlite3 STORE .schema 查找使用它的对象，将其删除，再次运行同一命令，然后重新创建',
  'Check for a trigger or a constraint that rejects it: sqlite3 STORE .schema':
    '请检查拒绝该语句的触发器或约束： sqlite3 STORE .schema',
  'Compare the schema with what the steps expect: sqlite3 STORE .schema':
    '请将模式与步骤所期望的对比： sqlite3 STORE .schema',
  'The server cannot read a statement': '服务器无法读取一条语句',
  'Remove U+0000 from the SQL of the steps: PostgreSQL has no text with it':
    '请从步骤的 SQL 中去掉 U+0000：PostgreSQL 的文本不能包含它',
  'A statement exceeds the stack depth limit of the server': '某条语句超过了服务器的堆栈深度上限',
  'Raise max_stack_depth of the server, then run the same command again; it resumes where it stopped':
    '请调高服务器的 max_stack_depth，然后再次运行同一命令；将从停下的地方继续',
  'The server cannot be reached, or the connection was lost': '无法连接服务器，或连接已断开',
  'Check the address, and that the server is up; then run the same command again':
    '请检查地址，并确认服务器正在运行；然后再次运行同一命令',
  'The server closed the connection, or is not up yet': '服务器已结束连接，或尚未启动完成',
  'The connection to the server was lost': '与服务器的连接已断开',
  'Run the same command again when it is up; it resumes where it stopped':
    '请在服务器运行之后再次运行同一命令；它会从停止处继续',
  'The server rejected this user': '服务器不允许该用户登录',
  'Check the user and the password, and the rules of pg_hba.conf':
    '请检查用户名和密码，以及 pg_hba.conf 中的规则',
  'The server has no database with this name': '服务器上没有该名称的数据库',
  'Pass a database that the application has created: --database-url postgres://HOST/DATABASE; this program creates none':
    '请指定由应用程序创建的数据库： --database-url postgres://HOST/DATABASE ；本程序从不新建数据库',
  'This user lacks a privilege': '当前用户缺少权限',
  'Run the command as the owner of the tables, or grant this user the privilege':
    '请以表的所有者身份运行命令，或授予该用户相应的权限',
  'The server is read-only: it is a replica, or configured so': '服务器不接受写入：它是副本，或被设置为只读',
  'The server did not accept the connection in time': '服务器未在规定时间内接受连接',
  'Check the address, and that the server is up; then run the same command again, with a longer timeout if the server is slow: PGCONNECT_TIMEOUT=60':
    '请检查地址以及服务器是否已启动，然后再次运行同一命令；如果服务器较慢，请给予更多时间： PGCONNECT_TIMEOUT=60',
  'The disk of the server is full': '服务器的磁盘已满',
  'Free disk space on the server, then run the same command again; it resumes where it stopped':
    '请在服务器上释放磁盘空间，再次运行同一命令；它会从停止处继续',
  'The server has reached a limit, such as its number of connections': '服务器已达到某个上限，例如连接数',
  'Run the same command again when the server has fewer clients': '请在服务器的客户端较少时再次运行同一命令',
  'The server reports that the data are damaged': '服务器报告数据已损坏',
  'Check the log of the server; if it confirms the damage, restore a backup of the database':
    '请查看服务器的日志；如果日志证实已损坏，请恢复数据库的备份',
  'The server reports that an index is damaged': '服务器报告某个索引已损坏',
  'Run REINDEX DATABASE, then the same command again': '请运行 REINDEX DATABASE ，然后再次运行同一命令',
  'Another connection held a lock for longer than the timeout': '另一个连接持有锁的时间超过了等待时间',
  'Stop or pause it, then run the same command again; nothing done so far is lost':
    '请结束或暂停另一个连接，再次运行同一命令；已完成的部分不会丢失',
  'Other transactions kept writing the same rows': '其他事务反复写入相同的行',
  'PostgreSQL rejected a statement': 'PostgreSQL 拒绝了一条语句',
  'Check the code in the appendix "PostgreSQL Error Codes" of its manual, and compare the schema with what the steps expect':
    '请在 PostgreSQL 手册的附录 "PostgreSQL Error Codes" 中查找该代码，并将模式与步骤所期望的对比',
  'Stopped by {signal} {where}; every committed batch is kept':
    '{where}被 {signal} 停止；所有已提交的批次均予保留',
  'between two transactions': '在两个事务之间',
  'while reading the database': '在读取数据库时',
  'while waiting for the database': '在等待数据库时',
  'while waiting for the run lock': '在等待运行锁时',
} as const satisfies Catalogue;
