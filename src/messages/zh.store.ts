import type { Catalogue } from './message.js';

/** Where the store is, and whether this user may use it. */
export const zhStore = {
  'Expected `{option}` to be one of {choices}, got `{value}`':
    '`{option}` 应为 {choices} 之一，实际为 `{value}`',
  'The path of the store is empty, or begins or ends with white space': '存储的路径为空，或首尾有空白字符',
  'There is no store at {path}': '{path} 处没有存储',
  '{path} is not a file': '{path} 不是文件',
  'The store at {path} is an empty file': '位于 {path} 的存储是空文件',
  'this user': '当前用户',
  'The folder {folder} of {path} cannot be entered by {who}': '{who}无法进入通往 {path} 的文件夹 {folder}',
  'The store at {path} cannot be read by {who}': '{who}无法读取位于 {path} 的存储',
  'The store at {path} cannot be written by {who}': '{who}无法写入位于 {path} 的存储',
  'The folder {folder} cannot be written by {who}, and SQLite keeps its journal there':
    '{who}无法写入文件夹 {folder}，而 SQLite 的日志存放在那里',
  'Another command holds the lock of this store: {who}': '另一个命令持有该存储的锁：{who}',
  'The rows of a batch changed between two of its statements': '一个批次的行在其两条语句之间发生了变化',
  'A connection received a statement while its transaction was open, or a transaction after its end':
    '连接在其事务打开期间收到了语句，或事务在结束之后收到了语句',
  'Run the same command again after it has ended, or pass a longer timeout: --lock-timeout 600':
    '请在它结束后再次运行同一命令，或指定更长的等待时间： --lock-timeout 600',
  'Pass the path of an existing store: --db-path /path/to/store.db; this program creates none':
    '请给出现有存储的路径： --db-path /path/to/store.db ；本程序从不新建存储',
  'Pass the path of the store file: --db-path /path/to/store.db':
    '请给出存储文件本身的路径： --db-path /path/to/store.db',
  'Pass it without white space: --db-path /path/to/store.db':
    '请给出不含首尾空白的路径： --db-path /path/to/store.db',
  'Pass another path, or let this user enter the folder: sudo chmod a+x {folder}':
    '请使用其他路径，或允许当前用户进入该文件夹： sudo chmod a+x {folder}',
  'Drop these objects, run the same command again, then recreate them':
    '请删除这些对象，再次运行同一命令，然后重新创建',
  'Several stores are specified: {sources}': '指定了多个存储：{sources}',
  'Pass only one: remove the other options, or unset the variable':
    '请只指定一个：去掉其他选项，或取消设置该变量',
  'The URL of the database is not a PostgreSQL URL': '数据库的 URL 不是 PostgreSQL 的 URL',
  'Pass it as postgres://USER@HOST:5432/DATABASE': '请写成 postgres://USER@HOST:5432/DATABASE',
  '{type} selects a PostgreSQL store, but {name} is not set':
    '{type} 选择了 PostgreSQL 存储，但没有设置 {name}',
  'Set {name}, {host} and {user}, or pass --database-url':
    '请设置 {name}、{host} 和 {user} ，或给出 --database-url',
  'No store is specified, and the config has no `database.path`':
    '没有指定存储，配置中也没有 `database.path`',
  'Pass --db-path PATH, --database-url URL, or --postgres with DATABASE_URL set; or set `database.path` in the config file':
    '请传入 --db-path PATH 、 --database-url URL ，或在设置 DATABASE_URL 后传入 --postgres ；或在配置文件中设置 `database.path`',
  '--postgres uses the URL in DATABASE_URL, which is not set':
    '--postgres 从 DATABASE_URL 取得数据库的 URL，但该环境变量未设置',
  'Set it, or pass --database-url postgres://USER@HOST:5432/DATABASE':
    '请设置它，或给出 --database-url postgres://USER@HOST:5432/DATABASE',
  'The PostgreSQL driver is not installed': '未安装 PostgreSQL 的驱动程序',
  'Install it: npm install pg': '请安装： npm install pg',
  'A statement of the step released the run lock of the store': '该步骤中的语句释放了存储的运行锁',
  'Remove pg_advisory_unlock_all() and similar calls from the step; it was rolled back':
    '请从步骤中去掉 pg_advisory_unlock_all() 之类的调用；该步骤已回滚',
  'The server is PostgreSQL {version}; the oldest supported version is 13':
    '服务器为 PostgreSQL {version}，而所支持的最低版本为 13',
  'Upgrade the server': '请升级服务器',
  'The database is encoded in {encoding}; only UTF8 can store every text':
    '数据库的编码为 {encoding}，而只有 UTF8 能保存所有文本',
  'Use a database that was created with ENCODING UTF8': '请使用以 ENCODING UTF8 创建的数据库',
  'No schema in search_path exists': 'search_path 中的模式都不存在',
  'Pass one: --database-url "postgres://…?options=-csearch_path%3DNAME"':
    '请指定一个： --database-url "postgres://…?options=-csearch_path%3DNAME"',
  'The connection uses a pooler that assigns a session per transaction':
    '连接经过连接池，而该连接池为每个事务分配不同的会话',
  'Pass the address of the server, or of a pool in session mode, with --database-url':
    '请用 --database-url 指定服务器本身，或会话模式的连接池',
  'PostgreSQL received a store of another engine': '把另一种引擎的存储传给了 PostgreSQL',
  'SQLite received a store of another engine': '把另一种引擎的存储传给了 SQLite',
  'Report this error': '请报告此错误',
  '{host} and {port} are not a valid host and port': '{host} 和 {port} 不是有效的主机和端口',
  'Set {host} to a host name or an IP address, and {port} to a number':
    '请将 {host} 设为主机名或 IP 地址，将 {port} 设为数字',
} as const satisfies Catalogue;
