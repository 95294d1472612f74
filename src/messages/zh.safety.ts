import type { Catalogue } from './message.js';

/** Run lock, backup, restore, disk space, output files. */
export const zhSafety = {
  'while taking its lock': '取得运行锁时',
  'while backing it up': '备份时',
  'The lock file {path} cannot be opened ({code})': '无法打开锁文件 {path}（{code}）',
  'The lock file {path} was not created by this program': '锁文件 {path} 不是本程序创建的',
  'The lock file {path} was replaced while it was being opened': '锁文件 {path} 在打开时被替换',
  'The lock file has a sidecar, {path}, which SQLite would apply to it and this program never creates':
    '锁文件旁有 {path}，SQLite 会应用它，而本程序从不创建它',
  'The disk of {folder} has {free} free, but {needed} is needed: {parts}':
    '{folder} 所在的磁盘有 {free} 空闲，需要 {needed}：{parts}',
  'The value of --backup-dir is empty': '--backup-dir 的值为空',
  'The backup is damaged, and so is the store; nothing was changed':
    '备份已损坏，说明存储也已损坏；未做任何更改',
  '{path} was replaced by another file during the command': '命令执行期间，{path} 被另一个文件取代',
  'Another process kept {path}, or the file that is copied to it, locked for longer than the timeout':
    '另一个进程锁住 {path} 或其来源文件的时间超过了等待上限',
  '{path} must be replaced, because it is damaged or has another page size, but other programs have it open':
    '{path} 已损坏或页大小不同，必须替换，但它正被其他程序打开',
  '{path} could not be copied ({code}), and is not replaced without a copy':
    '无法复制 {path}（{code}），没有副本就不会替换它',
  'The {what} cannot be written to {path}: that is not a file': '无法将{what}写入 {path}：那不是文件',
  'The {what} cannot be written to {path}: that is the store, or belongs to it':
    '无法将{what}写入 {path}：那是存储，或属于存储的文件',
  'The {what} cannot be written to {path}: {reason}': '无法将{what}写入 {path}：{reason}',
  'The file at {path} is not a {what} of this program': '{path} 处有一个文件，它不是本程序的{what}',
  'its folder does not exist': '其文件夹不存在',
  'a part of its path is not a folder': '其路径中有一部分不是文件夹',
  'that is a folder': '那是文件夹',
  'its symbolic links form a loop': '其符号链接成环',
  'the disk is mounted read-only': '磁盘以只读方式挂载',
  'its name is too long': '其名称过长',
  'this user may not write there': '当前用户无权写入该处',
  'a shared folder of VirtualBox': 'VirtualBox 共享文件夹',
  'Stop or pause the other writer, then run the same command again; nothing was changed':
    '请结束或暂停另一个写入者，再次运行同一命令；未做任何更改',
  'Stop every program that uses the store, then run the same command again; nothing was changed':
    '请结束所有使用该存储的程序，再次运行同一命令；未做任何更改',
  'Stop every command on this store, then remove the file: rm {path}':
    '请停止该存储上的所有命令，再删除该文件： rm {path}',
  'Check who may write to its folder, then run the same command again: ls -ld {path}':
    '请检查谁可以写入其所在文件夹，然后重新运行同一命令： ls -ld {path}',
  'Set its owner and mode to those of the store: {commands}': '请将其所有者和权限设为与存储相同： {commands}',
  'Free disk space, or pass a folder on another disk: --backup-dir; then run the same command again; nothing was changed':
    '请释放磁盘空间，或用 --backup-dir 指定另一个磁盘上的文件夹，然后再次运行同一命令；未做任何更改',
  'Pass a folder: --backup-dir /path/to/folder; or omit the option':
    '请指定文件夹： --backup-dir /path/to/folder ；或去掉该选项',
  'Check it with: sqlite3 STORE "PRAGMA integrity_check"; then restore an earlier backup: umzug-backfill restore FILE':
    '请查看： sqlite3 STORE "PRAGMA integrity_check" ，并恢复到更早的备份： umzug-backfill restore FILE',
  'Pass another folder: --backup-dir /path/to/folder': '请指定另一个文件夹： --backup-dir /path/to/folder',
  'Check which program replaces it, then run the same command again; nothing was changed':
    '请查明是哪个程序所为，再次运行同一命令；未做任何更改',
  'Pass the path of a file': '请指定文件的路径',
  'Choose another file for the {what}': '请为{what}指定另一个文件',
  'Choose another file for the {what}, or move that one away first':
    '请为{what}指定另一个文件，或先移走该文件',
  'Choose a folder that this user may write': '请选择当前用户可写的文件夹',
} as const satisfies Catalogue;
