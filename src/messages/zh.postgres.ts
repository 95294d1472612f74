import type { Catalogue } from './message.js';

/** What is told of a store that is a database of PostgreSQL. */
export const zhPostgres = {
  // how it is named
  '{option} is for a file': '{option} 只能用于文件形式的存储',
  'Remove it: a PostgreSQL database is backed up with its own tools':
    '请去掉它：服务器上的数据库用其自身的工具备份和维护',
  'The command restore is for a file': '命令 restore 只能用于文件形式的存储',
  'Restore a PostgreSQL database with its own tools, such as pg_restore':
    '请用服务器自身的工具恢复数据库，例如 pg_restore',
  '--print-sql is for the sqlite3 shell, and this store is a PostgreSQL database':
    '--print-sql 用于 sqlite3 命令行，而该存储属于 PostgreSQL',
  'Run it without --print-sql: umzug-backfill verify': '请不带 --print-sql 运行： umzug-backfill verify',
  '`{option}` of {what}': '{what} 的 `{option}`',

  // its schema
  '{message}, and a run is in progress: {who}': '{message}，且有运行正在进行：{who}',
  'Wait until it has ended, then run the same command again; umzug-backfill status shows its progress':
    '请等待其结束，然后重新运行同一命令；umzug-backfill status 会显示进度',
  object: '对象',
  type: '类型',

  // which database
  '{hint}; DATABASE_URL contains a database: pass --postgres to use it':
    '{hint} ； DATABASE_URL 指定了数据库：要使用它，请传入 --postgres',
  'Pass the database of the application with --database-url, add ?options=-csearch_path%3DNAME to the URL if the table is in another schema, or fix the declaration':
    '请用 --database-url 给出应用程序的数据库；若表在另一个模式中，请在 URL 后加上 ?options=-csearch_path%3DNAME；或修正声明',

  // the run
  'Worker {number} of {count} has ended early, and the others do its part: {code}: {message}':
    '第 {number} 个工作会话（共 {count} 个）提前结束，由其他会话完成其部分：{code}：{message}',
  'joined the run of {name}': '已参与填充 {name}',
  'The database grew by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.':
    '数据库增大了 {change}，现为 {size}；autovacuum 会释放被更新的行的旧版本。',
  'The database shrank by {change} to {size}; autovacuum frees the earlier versions of the rows that were updated.':
    '数据库减小了 {change}，现为 {size}；autovacuum 会释放被更新的行的旧版本。',
} as const satisfies Catalogue;
