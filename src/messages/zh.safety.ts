import type { Catalog } from './translate.js';

/** Run lock, backup, restore, disk space, output files. */
export const zhSafety = {
  'while taking its lock': '取得运行锁时',
  'while backing it up': '备份时',
  'The lock of this store, {path}, can not be opened ({code})': '无法打开该存储的锁 {path}（{code}）',
  'The lock of this store, {path}, is not a file that this program has made':
    '该存储的锁 {path} 不是本程序创建的文件',
  'The lock of this store, {path}, was replaced by another file while it was opened':
    '该存储的锁 {path} 在打开时被另一个文件替换',
  'The lock of this store has {path} next to it, which SQLite would apply to it and this program never makes':
    '该存储的锁旁边有 {path}，SQLite 会应用它，而本程序从不创建它',
  'The disk of {folder} has {free} free, and {needed} are needed: {*parts}':
    '{folder} 所在的磁盘有 {free} 空闲，需要 {needed}：{parts}',
  'The folder for backups has no name': '用于备份的文件夹没有名称',
  'The backup is damaged, as then the store is too; nothing was changed':
    '备份已损坏，说明存储也已损坏；未做任何更改',
  'Another file took the place of {path} during the command': '命令执行期间，{path} 被另一个文件取代',
  'Another process kept {path} or the file that it is copied from locked for longer than the wait':
    '另一个进程锁住 {path} 或其来源文件的时间超过了等待时间',
  '{path} can not be written into, as it is damaged or has another page size, and other programs have it open':
    '无法写入 {path}：它已损坏或页大小不同，且被其他程序打开',
  '{path} could not be copied ({code}), and is not replaced before it is':
    '无法复制 {path}（{code}），而在复制之前不会替换它',
  'The {~what} can not be written to {path}: that is not a file': '无法将{what}写入 {path}：那不是文件',
  'The {~what} can not be written to {path}: that is the store, or belongs to it':
    '无法将{what}写入 {path}：那是存储，或属于存储的文件',
  'The {~what} can not be written to {path}: {~reason}': '无法将{what}写入 {path}：{reason}',
  'There is a file at {path} that is no {~what} of this program': '{path} 处有一个文件，它不是本程序的{what}',
  'its folder is not there': '其文件夹不存在',
  'a part of its path is no folder': '其路径中有一部分不是文件夹',
  'that is a folder': '那是文件夹',
  'its symbolic links go round': '其符号链接成环',
  'its name is too long': '其名称过长',
  'this user may not write there': '当前用户无权写入该处',
  'a shared folder of VirtualBox': 'VirtualBox 共享文件夹',
  'End or pause the other writer, then run the same command again; nothing was changed':
    '请结束或暂停另一个写入者，再次运行同一命令；未做任何更改',
  'End every program that uses the store, then run the same command again; nothing was changed':
    '请结束所有使用该存储的程序，再次运行同一命令；未做任何更改',
  'End every run on this store, then remove the file: rm {path}':
    '请结束该存储上的所有运行，再删除该文件： rm {path}',
  'Check who may write in its folder, then run the same command again: ls -ld {path}':
    '请检查谁可以写入其所在文件夹，然后重新运行同一命令： ls -ld {path}',
  'Give it the owner and mode of the store: {commands}': '请让它的所有者和权限与存储一致： {commands}',
  'Make room, or name another disk: --backup-dir; then run the same command again; nothing was changed':
    '请腾出空间，或用 --backup-dir 指定另一个磁盘，再次运行同一命令；未做任何更改',
  'Name it: --backup-dir /path/to/folder, or leave the option out':
    '请指定它： --backup-dir /path/to/folder ，或去掉该选项',
  'Look at it with: sqlite3 STORE "PRAGMA integrity_check", and go back to an earlier backup: umzug-backfill restore FILE':
    '请查看： sqlite3 STORE "PRAGMA integrity_check" ，并恢复到更早的备份： umzug-backfill restore FILE',
  'Pass another folder: --backup-dir /path/to/folder': '请指定另一个文件夹： --backup-dir /path/to/folder',
  'Find out which program does that, then run the same command again; nothing was changed':
    '请查明是哪个程序所为，再次运行同一命令；未做任何更改',
  'Name a file': '请指定一个文件',
  'Name another file for the {~what}': '请为{what}指定另一个文件',
  'Name another file for the {~what}, or move that one away first':
    '请为{what}指定另一个文件，或先移走该文件',
  'Name a file in a folder that this user may write': '请指定当前用户可写的文件夹中的文件',
} as const satisfies Catalog;
