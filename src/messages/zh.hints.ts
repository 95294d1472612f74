import type { Catalogue } from './message.js';

/** Hints of errors: what mends them. Commands stay as they are, with a space around them, so that they can be copied. */
export const zhHints = {
  'Pass -- before the arguments: {call} {words}': '请在参数之前加上 --： {call} {words}',
  'Pass -- before the arguments, and {options} after them if you mean it: {call} {words}':
    '请在参数之前加上 --；如果确实需要，再在参数之后加上 {options}： {call} {words}',
  'Run the same command again; it resumes where it stopped': '请再次运行同一命令；它会从停止处继续',
  'Wait until it has ended, then run the same command again': '请等它结束，再次运行同一命令',

  // the project
  "Write {column}: firstOf(document, [names], fallback), {column}: sql(expression), or {column}: 'process'":
    "请写成 {column}: firstOf(document, [names], fallback)、{column}: sql(expression)，或 {column}: 'process'",
  'Fix `checks.rules` in {path}': '请修正 {path} 中的 `checks.rules`',
  'Fix sql() in {path}: it may name columns of {table}, which the store has or an earlier step makes':
    '请修正 {path} 中的 sql()：它只能引用 {table} 中已有的列，或由更早的步骤创建的列',
  'Write it as 1.2.3': '请写成 1.2.3 的形式',
  'Set a backfill in {file} that sorts before it': '请在 {file} 中指定排在它之前的回填',
  'The project has: {names}': '项目中有：{names}',
  'The project has none': '项目中一个也没有',
  'Put the step file back as it was applied, or run it again with --yes: cells that the declaration now derives otherwise then stay':
    '请把步骤文件恢复为应用时的样子，或加上 --yes 再次运行：这样一来，声明现在推导出不同值的单元格会被保留',
  'Put the step file back, then run the same command again': '请把步骤文件放回原处，再次运行同一命令',
  'Add a `down`, or stop before it with --to NAME': '请为它提供 `down`，或用 --to NAME 在它之前停止',
  'See umzug-backfill executed': '请看 umzug-backfill executed',
  'Apply it first: umzug-backfill up': '请先应用： umzug-backfill up',
  'Use the same better-sqlite3 in the application (npm ls better-sqlite3), or run umzug-backfill up as a second process':
    '请让应用程序使用同一个 better-sqlite3（ npm ls better-sqlite3 ），或在另一个进程中运行 umzug-backfill up',

  // the store
  '{hint}; there is a file at {paths}: pass --db-path if it is the store':
    '{hint} ；{paths} 处有文件：若它就是该存储，请用 --db-path 给出',
  'Pass the path of a store of the application with --db-path, or fix the declaration':
    '请用 --db-path 给出由应用程序创建的存储的路径，或修正声明',
  "Declare table: '{name}', without a schema": "请声明 table: '{name}'，不带模式名",
  "Declare table: '{name}', without a schema, and add ?options=-csearch_path%3D{schema} to the URL: tables are found through the search path":
    "请声明 table: '{name}'，不带模式名，并在 URL 后加上 ?options=-csearch_path%3D{schema}：表在 search_path 中查找",
  'Fix sql() in {path}: move what reads several rows into a subquery, such as (SELECT max(n) FROM other)':
    '请修正 {path} 中的 sql()：把涉及多行的部分放入子查询，例如 (SELECT max(n) FROM other)',
  'Fix `checks.indexes` in {path}: one statement, without parameters':
    '请修正 {path} 中的 `checks.indexes`：一条语句，不含参数',
  'Pass its own store with --db-path; to overwrite this one with it, run the same command again with --yes':
    '请用 --db-path 指定它所属的存储；如果确实要用它覆盖当前存储，请加上 --yes 再次运行同一命令',
  'Run the command as its owner, user id {uid}, or make this user the owner: {command}':
    '请以其所有者（用户 ID {uid}）的身份运行，或将当前用户设为其所有者： {command}',
  'Make this user the owner: {command}': '请将当前用户设为其所有者： {command}',
  'Grant this user write permission: {command}': '请授予当前用户写权限： {command}',

  // its schema
  'Add it in a step that sorts before {step}, or fix the declaration':
    '请在排在 {step} 之前的步骤中添加它，或修正声明',
  'Fix `scope` in {file}: it may name columns of {table} only':
    '请修正 {file} 中的 `scope`：其中只能使用 {table} 的列',
  'Check for a generated column or a broken trigger: sqlite3 STORE {sql}':
    '请查找生成列或失效的触发器： sqlite3 STORE {sql}',

  // the run
  'Check what they do: sqlite3 STORE {command}; if they may run for every row that is updated, run it again with --allow-triggers':
    '请查看它们的作用： sqlite3 STORE {command} ；如果可以对每个更新的行运行它们，请加上 --allow-triggers 再次运行',
  'Stop every command on this store, then remove it: {commands}':
    '请停止该存储上的所有命令，再删除它： {commands}',

  // backups, and what is written beside the store
  'Free disk space, back up to another disk with --backup-dir, or skip the backup with --no-backup, then run the same command again; nothing was changed':
    '请腾出空间，或用 --backup-dir 备份到另一个磁盘，或用 --no-backup 不做备份，再次运行同一命令；未做任何更改',
  'Free disk space, then run the same command again; nothing was changed':
    '请腾出空间，再次运行同一命令；未做任何更改',
  'Free disk space, or pass another disk for the copy with --backup-dir, then run the same command again; nothing was changed':
    '请腾出空间，或用 --backup-dir 为副本指定另一个磁盘，再次运行同一命令；未做任何更改',
  'Create it first: mkdir -p {folder}': '请先创建： mkdir -p {folder}',
  'Pass the file: umzug-backfill restore FILE, or its folder: --backup-dir':
    '请指定文件： umzug-backfill restore FILE ，或用 --backup-dir 指定其所在的文件夹',
  'Pass one that exists, or none for the newest: umzug-backfill restore':
    '请指定存在的备份，或不指定以使用最新的备份： umzug-backfill restore',
  'Copy it to a folder that this user may write, and pass the copy: umzug-backfill restore COPY':
    '请将它复制到当前用户可写的文件夹，再指定该副本： umzug-backfill restore COPY',
  'Pass another backup: umzug-backfill restore FILE; nothing was changed':
    '请指定另一个备份： umzug-backfill restore FILE ；未做任何更改',
  'Remove that permission: chmod o-w {path}; or pass another folder: --backup-dir /path/to/folder':
    '请取消该权限： chmod o-w {path} ；或指定另一个文件夹： --backup-dir /path/to/folder',
  'Remove that permission: chmod o-w {path}; if no other user has access, for example on a mount that shows this mode for every folder, run the same command again with --yes':
    '请取消该权限： chmod o-w {path} ；如果其他用户无法访问它（例如挂载点对所有文件夹都显示此权限），请加上 --yes 再次运行同一命令',
  'Remove that permission: chmod g-w {path}; or pass another folder: --backup-dir /path/to/folder':
    '请取消该权限： chmod g-w {path} ；或指定另一个文件夹： --backup-dir /path/to/folder',
  "Put sudo -u '#{owner}' before the command, so that this user runs it; or pass another folder: --backup-dir /path/to/folder":
    "请在命令前加上 sudo -u '#{owner}' ，由该用户运行；或指定另一个文件夹： --backup-dir /path/to/folder",
  'Pass another folder: --backup-dir /path/to/folder; or change its owner: sudo chown {self} {path}':
    '请指定另一个文件夹： --backup-dir /path/to/folder ；或更改其所有者： sudo chown {self} {path}',
  'If it leads to the right backup, pass that: umzug-backfill restore {target}':
    '如果它指向正确的备份，请指定该备份： umzug-backfill restore {target}',
  'If it is certainly the right backup, pass a copy of it: install -m 600 {file} {copy} && umzug-backfill restore {copy}':
    '如果确定它就是正确的备份，请指定它的副本： install -m 600 {file} {copy} && umzug-backfill restore {copy}',
  'If it is not, pass a copy of the backup alone: install -m 600 {file} {copy} && umzug-backfill restore {copy}; if it is, merge it into the backup first: sqlite3 {file} "SELECT count(*) FROM sqlite_schema; PRAGMA journal_mode = DELETE"':
    '如果不是，请只指定备份本身的副本： install -m 600 {file} {copy} && umzug-backfill restore {copy} ；如果是，请先将其写入备份： sqlite3 {file} "SELECT count(*) FROM sqlite_schema; PRAGMA journal_mode = DELETE"',
  'If you want that one, pass it: umzug-backfill restore {newest}':
    '如果它就是所需的备份，请指定它： umzug-backfill restore {newest}',
  'If you want that one, pass it: umzug-backfill restore {newest}; the newest in the ledger: umzug-backfill restore {known}':
    '如果它就是所需的备份，请指定它： umzug-backfill restore {newest} ；账本认识的最新备份： umzug-backfill restore {known}',
  'Pass an earlier backup: umzug-backfill restore FILE; if you want what this one contains, pass it with --yes: umzug-backfill restore {path} --yes':
    '请指定更早的备份： umzug-backfill restore FILE ；如果需要此备份的内容，请加上 --yes 指定它： umzug-backfill restore {path} --yes',
  'If it is lost, create an empty file in its place, as its owner, and run the same command again: touch STORE':
    '如果它已丢失，请以其所有者身份在原处创建空文件，再次运行同一命令： touch STORE',
  'Restore the ledger, or run it again with --yes: those cells then stay as they are':
    '请恢复账本，或加 --yes 重新运行：那些单元格将保持原样',
  'Put the step file back with processVersion {version}, or run it again with --yes: those cells then stay as they are':
    '请把步骤文件改回 processVersion {version}，或加 --yes 重新运行：这些单元格将保持原样',
  'Put the file back, then run the same command again; or revert it: umzug-backfill down --to {name}':
    '请把文件放回原处，然后重新运行同一命令；或撤回它已做的事：umzug-backfill down --to {name}',
  'Put the function back as it was, run the same command again, and only then put in the new one; or run it again with --yes: those cells then stay as they are':
    '请先把函数改回原样并重新运行同一命令，之后再换上新的函数；或加 --yes 重新运行：这些单元格将保持原样',
  'Undo what has changed since then, in the rows or in what `process` reads, and run the same command again; or run it again with --yes: those cells then stay as they are':
    '请把填充之后改动的内容（行，或 `process` 所依据的内容）改回原样，然后重新运行同一命令；或加 --yes 重新运行：这些单元格将保持原样',
  'Leave {columns} out of `scope` in {path}: only cells that are NULL are filled in any case':
    '请从 {path} 的 `scope` 中去掉 {columns}：无论如何只会填充为 NULL 的单元格',
} as const satisfies Catalogue;
