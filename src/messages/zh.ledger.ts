import type { Catalogue } from './message.js';

/** Texts about the ledger. */
export const zhLedger = {
  'The ledger of this store has format {found}; this version of the package reads formats up to {known}':
    '此存储的账本格式为 {found}，而本版本的包最高只认识格式 {known}',
  'The ledger of this store has format {found}; this version of the package reads formats from {known} on':
    '此存储的账本格式为 {found}，而本版本的包只认识格式 {known} 及以后的格式',
  'Install the version of the package that wrote it, or a newer one: npm install umzug-backfill@latest':
    '请部署写入该账本的版本或更新的版本：npm install umzug-backfill@latest',
  'Restore the backup from before it: umzug-backfill restore; or revert with the version of the package that wrote it: umzug-backfill down --to 0; then run `up` with this one':
    '请恢复写入该账本之前的备份：umzug-backfill restore；或用写入该账本的版本撤销：umzug-backfill down --to 0。然后用本版本运行 `up`',
  'Revert with the version of the package that wrote it: umzug-backfill down --to 0; then run `up` with this one':
    '请用写入该账本的版本撤销：umzug-backfill down --to 0。然后用本版本运行 `up`',
  'The ledger of this store is damaged: a row of {table} has a value in {column} that this package never writes':
    '此存储的账本已损坏：{table} 有一行的 {column} 列含有本包从不写入的内容',
  'Undo the changes to that table, or restore the newest backup: umzug-backfill restore':
    '请撤销对该表的改动，或恢复最新的备份：umzug-backfill restore',
  'The ledger of this store is damaged: the cells filled by batch {number} of {name} cannot be read':
    '此存储的账本已损坏：已无法得知 {name} 的批次 {number} 填充了哪些单元格',
  "Restore a backup: umzug-backfill restore; or give up those cells: umzug-backfill backfill {name} --rescan counts them as the application's, and `down` then keeps them":
    '请恢复到某个备份：umzug-backfill restore；或放弃这些单元格：umzug-backfill backfill {name} --rescan 会将它们视为应用程序自己的值，此后 `down` 会保留它们',
  'The keys of {rows} rows take {bytes} bytes; the maximum per batch is {most}':
    '{rows} 行的键共长 {bytes} 字节，而账本的一个批次只容纳 {most} 字节',
  'Use smaller batches: --batch-size {rows}': '请减小批次：--batch-size {rows}',
  'Another process has worked on the backfill {name} in the same store':
    '另一个进程处理过同一存储中的回填 {name}',
  'Another process has changed the ledger row of {name}': '其间另一个进程修改了 {name} 的账本行',
  'The step {step} was started by version {other} of this package; this is version {own}':
    '步骤 {step} 由本软件包的版本 {other} 开始，而当前版本为 {own}',
  'Install that version, or a newer one: npm install umzug-backfill@{version}':
    '请部署该版本或更新的版本： npm install umzug-backfill@{version}',
  'The step {step} has changed since it was started': '步骤 {step} 在开始之后有改动',
  'The step {step} has changed since it was applied': '步骤 {step} 在应用之后有改动',
  'Restore the step files as they were applied, or run it again without --strict':
    '请把步骤文件恢复为应用时的样子，或不加 --strict 再次运行',
  'The step {step} is new, but sorts before {other}, which is applied':
    '步骤 {step} 是新的，却排在已应用的 {other} 之前',
  'The objects of {step} do not match its row': '{step} 创建的内容与其记录行不符',
} as const satisfies Catalogue;
