import type { Catalog } from './translate.js';

/** Where the store is, and whether this user may use it. */
export const zhStore = {
  'Expected `{option}` to be one of {choices}, got `{value}`':
    '`{option}` 应为 {choices} 之一，实际为 `{value}`',
  'The path of the store is empty or has white space around it': '存储的路径为空，或首尾有空白字符',
  'There is no store at {path}': '{path} 处没有存储',
  '{path} is not a file': '{path} 不是文件',
  'The store at {path} is an empty file': '位于 {path} 的存储是空文件',
  'this user': '当前用户',
  '{folder} on the way to {path} can not be entered by {~who}': '{who}无法进入通往 {path} 的文件夹 {folder}',
  'The store at {path} can not be read by {~who}': '{who}无法读取位于 {path} 的存储',
  'The store at {path} can not be written by {~who}': '{who}无法写入位于 {path} 的存储',
  'The folder {folder} can not be written by {~who}, and SQLite keeps its journal there':
    '{who}无法写入文件夹 {folder}，而 SQLite 的日志存放在那里',
  'Another run holds the lock of this store: {~who}': '另一个运行持有该存储的锁：{who}',
  'A statement was given to a connection while its transaction was open, or to a transaction that has ended':
    '在事务打开期间向其连接发送了语句，或向已结束的事务发送了语句',
  'Wait until it has ended and run the same command again, or let it wait for longer: --lock-timeout 600':
    '请等它结束后再次运行同一命令，或延长等待时间： --lock-timeout 600',
  'Give the path of an existing store: --db-path /path/to/store.db; none is ever created':
    '请给出现有存储的路径： --db-path /path/to/store.db ；本程序从不新建存储',
  'Give the path of the store file itself: --db-path /path/to/store.db':
    '请给出存储文件本身的路径： --db-path /path/to/store.db',
  'Give it without: --db-path /path/to/store.db': '请给出不含首尾空白的路径： --db-path /path/to/store.db',
  'Name a path that does not lead through it, or let this user enter it: sudo chmod a+x {folder}':
    '请使用不经过该文件夹的路径，或允许当前用户进入： sudo chmod a+x {folder}',
  'Drop what stands in the way, run the same command again, then create it anew':
    '请删除阻挡的对象，再次运行同一命令，然后重新创建',
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
  'The driver of PostgreSQL is not installed': '未安装 PostgreSQL 的驱动程序',
  'Install it beside this package: npm install pg': '请在本软件包旁安装它： npm install pg',
  'A statement of the step has released the run lock of the store': '该步骤中的语句释放了存储的运行锁',
  'Remove pg_advisory_unlock_all() and its kind from the step; nothing of it was kept':
    '请从该步骤中删除 pg_advisory_unlock_all() 之类的语句；该步骤的任何内容都未保留',
  'The server is PostgreSQL {version}, and 13 is the oldest supported':
    '服务器为 PostgreSQL {version}，而所支持的最低版本为 13',
  'Update the server': '请升级服务器',
  'The database is in {encoding}, and only UTF8 holds every text':
    '数据库的编码为 {encoding}，而只有 UTF8 能保存所有文本',
  'Use a database that was created with ENCODING UTF8': '请使用以 ENCODING UTF8 创建的数据库',
  'No schema of the search_path exists': 'search_path 中的模式都不存在',
  'Name one: --database-url "postgres://…?options=-csearch_path%3DNAME"':
    '请指定一个： --database-url "postgres://…?options=-csearch_path%3DNAME"',
  'The connection goes through a pooler that gives each transaction another session':
    '连接经过连接池，而该连接池为每个事务分配不同的会话',
  'Name the server itself in --database-url, or a pool in session mode':
    '请在 --database-url 中直接指定服务器，或使用会话模式的连接池',
  'A store of another engine was given to PostgreSQL': '把另一种引擎的存储传给了 PostgreSQL',
  'A store of another engine was given to SQLite': '把另一种引擎的存储传给了 SQLite',
  'Report it': '请报告此问题',
  '{host} and {port} do not name a server': '{host} 与 {port} 没有指明一台服务器',
  'Set {host} to a name or an address, and {port} to a number':
    '请将 {host} 设为名称或地址，将 {port} 设为数字',
} as const satisfies Catalog;
