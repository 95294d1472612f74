import type { Catalogue } from './message.js';

/** Messages of errors and warnings: what is wrong. */
export const zhErrors = {
  // the call, as commander has it and as this program puts it
  'npm kept {options} for itself, so that it did not reach this command':
    'npm 把 {options} 留给了自己，没有传给本命令',

  // the project
  'Expected `columns` in {what} to have 1 to {most} columns, got {count}':
    '{what} 中的 `columns` 应有 1 到 {most} 列，实际为 {count} 列',
  "Expected `columns.{column}` in {what} to be firstOf(), sql() or, with `process`, 'process'":
    "{what} 中的 `columns.{column}` 应为 firstOf()、sql()，或在给出 `process` 时为 'process'",
  'Expected `columns` in {what} to have a column that `process` fills':
    '{what} 中的 `columns` 应有一列由 `process` 填充',
  'Expected `process` in {what} to be a synchronous function': '{what} 中的 `process` 应为同步函数',
  'Expected `reads` in {what} to be a list of column names': '{what} 中的 `reads` 应为列名的列表',
  'Expected `verdict` in {what} to be warn or fail, got `{value}`':
    '{what} 中的 `verdict` 应为 warn 或 fail，实际为 `{value}`',
  'The query of the rule "{title}" of {name} is not a SELECT that this store can run':
    '{name} 的规则 "{title}" 的查询不是该存储可以运行的 SELECT',
  'Expected `processVersion` in {what} to be an integer, got `{value}`':
    '{what} 中的 `processVersion` 应为整数，实际为 `{value}`',
  'The expression of {column} in {name} cannot be computed on {table}':
    '{name} 中 {column} 的表达式不是 {table} 上的有效表达式',
  'The first run of {name} found {cells} cells to fill and filled none of them: {reasons}':
    '{name} 的首次运行找到 {cells} 个待填充的单元格，但一个也没有填充：{reasons}',
  'The expression of {column} in {name} cannot be computed on a single row of {table}: it has an aggregate, a window function, or another function of several rows':
    '{name} 中 {column} 的表达式不能用于 {table} 的单独一行：它含有聚合函数、窗口函数或其他涉及多行的函数',
  'The query for the index {index} of {name} cannot run on this store':
    '{name} 中针对索引 {index} 的查询不是该存储可以运行的查询',
  '--show-values may show contents of rows, and {why}': '--show-values 可能显示行的内容，而{why}',
  'CI is set': '环境变量 CI 已设置',
  'the log does not go to a terminal': '日志没有输出到终端',
  'Run the command on a terminal, or without the option; testBackfill() shows them for its own rows':
    '请在终端中运行该命令，或去掉该选项； testBackfill() 会显示它自己的行的内容',
  '`checks.lag` in {what} names {column}, which is not a filled column of timestamps':
    '{what} 中的 `checks.lag` 指定了 {column}，它不是所填充的时间戳列',
  'The step {step} requires {backfill}, which sorts after it':
    '步骤 {step} 要求 {backfill}，但后者排在它之后',
  'The step {step} requires the backfill {backfill}, which the project does not have':
    '步骤 {step} 要求回填 {backfill}，但项目中没有该回填',
  'There is no step named {name}': '没有名为 {name} 的步骤',
  'There is no backfill named {name}': '没有名为 {name} 的回填',
  'The scope of {name} reads {columns}, which it fills: a row that is filled would be out of scope, and never be verified':
    '{name} 的 scope 读取了它所填充的 {columns}：已填充的行将不在范围内，永远不会被校验',
  'The step {name} is not finished, and its file is missing': '步骤 {name} 尚未完成，而其文件已不存在',
  'The function `process` of {name} has changed since it filled, and derives other values than {cells} cells contain':
    '{name} 的函数 `process` 与填充时的文本不同，且推导出的值与 {cells} 个单元格所保存的不同',
  'The verification of {name} has failed, and {cells} cells that it filled do not contain what their row derives: `down` would keep them':
    '{name} 的校验未通过，它填充的 {cells} 个单元格与所在行推导的值不符：`down` 会将它们保留下来',
  'The current declaration of {name} fills later rows: umzug-backfill backfill {scan} --rescan fills NULL cells with it, and umzug-backfill down --to {down}, then umzug-backfill up, all cells':
    '{name} 现在的声明只填充之后到来的行：umzug-backfill backfill {scan} --rescan 按它填充为 NULL 的单元格；umzug-backfill down --to {down}，再运行 umzug-backfill up，则全部重新填充',
  '{cells} cells of {name} were filled by version {version} of `process`, which is no longer in its file':
    '{name} 的 {cells} 个单元格由 `process` 的版本 {version} 填充，而该版本已不在其文件中',
  'The declaration with which {name} filled {cells} cells can no longer be read from the ledger':
    '{name} 填充 {cells} 个单元格所依据的声明，在账本中已无法读取',
  'The step {step} is new, but sorts before {other}, which is applied':
    '步骤 {step} 是新的，却排在已应用的 {other} 之前',
  'The step {step} is applied, but its file is missing': '步骤 {step} 已应用，但其文件已不存在',
  'The step {step} is applied, but its file is missing, so that it cannot be reverted':
    '步骤 {step} 已应用，但其文件已不存在，因此无法撤销',
  'The step {step} has no `down`': '步骤 {step} 没有 `down`',
  'The step {step} is not applied': '步骤 {step} 未应用',
  'The step {step} is only partly applied': '步骤 {step} 只应用了一部分',

  // the store
  'this user (user id {id})': '当前用户（用户 ID {id}）',
  'A writer died in the middle of a transaction: it is rolled back':
    '某个写入者在事务中途终止：该事务将被回滚',
  'while restoring it': '恢复时',
  'while removing old backups, after everything else was done': '在其他工作都完成之后清理旧备份时',
  'while writing the metrics file': '写入指标文件时',
  'while reading its ledger': '读取其账本时',
  'in the thread of the backfills': '在回填线程中',

  // its schema
  'The store has no table {table}': '存储中没有表 {table}',
  'The table {table} has no column {columns}': '表 {table} 没有列 {columns}',
  'The table {table} has no column {columns}, which {step} needs':
    '表 {table} 没有 {step} 所需的列 {columns}',
  'The store is at version {version}; at least {least} is needed': '存储的版本为 {version}，至少需要 {least}',
  'The scope of {backfill} is not a condition on {table}': '{backfill} 的 `scope` 不是 {table} 上的有效条件',
  'The columns {columns} of {table} cannot be updated': '无法更新 {table} 的列 {columns}',
  'Each version that is written to {table} or removed from it may fire the trigger {triggers}':
    '每次向 {table} 写入或从中删除版本都可能触发触发器 {triggers}',
  'Each version that is written to {table} or removed from it may fire the triggers {triggers}':
    '每次向 {table} 写入或从中删除版本都可能触发以下触发器：{triggers}',
  column: '列',
  index: '索引',
  trigger: '触发器',
  view: '视图',
  table: '表',

  // the run
  'process {pid} on {host}, since {since}': '{host} 上的进程 {pid}，自 {since} 起',
  'process {pid} on {host}': '{host} 上的进程 {pid}',
  'a process that has just started': '刚刚启动的进程',
  'The lock file {path} is a symbolic link': '锁文件 {path} 是符号链接',
  'The lock file {path} is not a regular file': '锁文件 {path} 不是普通文件',
  'The lock file {path} has a second name': '锁文件 {path} 另有一个名称',
  'The lock file {path} belongs to user id {owner}, who is neither this user nor the owner of the store':
    '锁文件 {path} 属于用户 ID {owner}，既不是当前用户，也不是存储的所有者',
  'The lock file {path} belongs to user id {owner}, and every user may write it':
    '锁文件 {path} 属于用户 ID {owner}，而且任何用户都可以写入它',
  'Each update of {table} fires the trigger {name}': '{table} 的每次更新都会触发触发器 {name}',
  'Each update of {table} fires the triggers {names}': '{table} 的每次更新都会触发触发器 {names}',
  "This process has loaded another copy of SQLite, {path}: two of them drop each other's locks on the store":
    '本进程加载了另一份 SQLite：{path}；两份 SQLite 会互相释放对方在存储上的锁',
  'The verification of {backfill} failed: {checks}': '{backfill} 的校验失败：{checks}',

  // backups, and what is written beside the store
  '{size} for {what}': '{what} {size}',
  'the journal': '日志',
  'what the store grows by': '存储的增长',
  'the backup': '备份',
  'a copy of the present store': '当前存储的副本',
  'the restored store and its journal': '恢复后的存储及其日志',
  'The backup folder {folder} does not exist': '备份文件夹 {folder} 不存在',
  'The backup folder {folder} cannot be written by {who}': '{who}无法写入用于备份的文件夹 {folder}',
  '{backup} is a backup of another store than {path}': '{backup} 是另一个存储的备份，而不是 {path} 的备份',
  'There is no backup of {path} in {folder}': '{folder} 中没有 {path} 的备份',
  'All backups of {path} in {folder} belong to other users, such as {file} to user id {owner}':
    '{folder} 中没有 {path} 的备份，只有其他用户的备份，例如用户 ID {owner} 的 {file}',
  'There is no backup at {path}': '{path} 处没有备份',
  '{path} cannot be opened where it is: SQLite needs to write next to it':
    '无法在原处打开 {path}：SQLite 需要在其旁边写入文件',
  '{path} is the store itself, or belongs to it': '{path} 就是存储本身，或属于存储的文件',
  'A copy of the store is not safe in {folder}: every user may replace files in {path}':
    '存储的副本放在 {folder} 中不安全：任何用户都可以替换 {path} 中的内容',
  'A copy of the store is not safe in {folder}: the group of {path} may replace files in it':
    '存储的副本放在 {folder} 中不安全：{path} 的用户组可以替换其中的内容',
  'A copy of the store is not safe in {folder}: user id {owner} owns {path}':
    '存储的副本放在 {folder} 中不安全：{path} 属于用户 ID {owner}',
  '{path} is a symbolic link': '{path} 是符号链接',
  '{path} has another name, through which it can be changed': '{path} 另有一个名称，可以通过它修改该文件',
  '{path} may come from another user: user id {owner} owns {at}':
    '{path} 可能出自其他用户之手：{at} 属于用户 ID {owner}',
  '{path} may come from another user: the group of {at} may write it':
    '{path} 可能出自其他用户之手：{at} 的用户组可以写入它',
  '{path} may come from another user: every user may write {at}':
    '{path} 可能出自其他用户之手：任何用户都可以写入 {at}',
  '{path} exists, and SQLite would read it as part of the backup':
    '{path} 存在，SQLite 会把它当作备份的一部分来读取',
  'The ledger of {store} does not contain its newest backup, {path}':
    '{store} 的账本不认识其最新的备份 {path}',
  '{store} has no readable ledger that could contain its newest backup, {path}':
    '{store} 中没有可读的账本，无法确认其最新的备份 {path}',
  '{path} has changed: its SHA-256 is not the one in the ledger':
    '{path} 与创建时不同：其 SHA-256 与账本中的不一致',
  '{path} has changed: its size is not the one in the ledger': '{path} 与创建时不同：其大小与账本中的不一致',
  'a private copy of the backup': '备份的私有副本',
  '{path} is damaged': '{path} 已损坏',
  '{path} cannot be restored: {reason}': '无法恢复 {path}：{reason}',
  report: '报告',
  'metrics file': '指标文件',
  '{folder} is on {system}: file locks may not work between machines, so use the store from one machine at a time':
    '{folder} 位于 {system} 上：文件锁在机器之间可能无效，因此同一时间请只在一台机器上使用该存储',
} as const satisfies Catalogue;
