import type { Catalogue } from './message.js';

/** Texts about runs, and about steps that are applied and reverted. */
export const zhRun = {
  '`process` of {name} returned another value of {column} when it was called again for the row with key {key}':
    '对键为 {key} 的行再次调用时，{name} 的 `process` 为 {column} 给出了不同的值',
  'Fix it to derive values from the row alone, not from the time, chance or earlier calls, then run the same command again; nothing was filled':
    '请让它只根据该行推导值，不依赖时间、随机数或先前的调用，然后重新运行同一命令；它没有填充任何内容',
  'The value of {column} that {name} derives for the row with key {key} changes once the row is filled':
    '{name} 为键为 {key} 的行推导的 {column} 的值，在该行填充之后变成了另一个值',
  'Fix the backfill to derive it from columns that it does not fill, then run the same command again; nothing of this batch was filled':
    '请从该回填不填充的列推导它，然后重新运行同一命令；此批次未填充任何内容',
  '`process` of {name} threw on {rows} rows ({thrown})':
    '{name} 的 `process` 在 {rows} 行上抛出了异常（{thrown}）',
  'in other processes': '在其他进程中',
  'Fix it for rows like those that umzug-backfill skips {name} lists, or those of the next batch; then run umzug-backfill up, and umzug-backfill backfill {name} --rescan':
    '请用 umzug-backfill skips {name} 列出的行或下一个批次的行调用它并加以修正；然后运行 umzug-backfill up，以及 umzug-backfill backfill {name} --rescan',
  '{engine} rejected the update of {rows} rows of {table} with {code}, last at key {key}':
    '{engine} 拒绝更新 {table} 的 {rows} 行（{code}），其中最后一行的键为 {key}',
  'Find the trigger or constraint that rejects them: sqlite3 STORE {sql}; remove it, run the same command again, then umzug-backfill backfill {name} --rescan for the skipped rows':
    '请查找拒绝它们的触发器或约束： sqlite3 STORE {sql} ；去除之后再次运行同一命令，然后用 umzug-backfill backfill {name} --rescan 处理被跳过的行',
  'The store is at version {version}; at least {least} is needed': '存储的版本为 {version}，至少需要 {least}',
  'Upgrade it to {version} with the application first': '请先用应用程序将其升级到 {version}',
  'The store is at version {version}, later than {made}, and may depend on objects of this step: {objects}':
    '存储的版本为 {version}，高于 {made}，可能依赖此步骤创建的内容：{objects}',
  'Run umzug-backfill restore {backup} to restore the store as it was before the step, without later writes':
    'umzug-backfill restore {backup} 将存储恢复到该步骤之前的状态，此后写入的内容都会丢失',
  'Keep the objects, or restore a backup from before the step; the ledger records none that still exists':
    '请保留它创建的内容，或恢复该步骤之前的备份；本程序已不知道自己做过这样的备份',
  'Dropping the columns of {table} would lose their values: {counts}':
    '删除 {table} 的列会丢失其中的值：{counts}',
  '{count} in {column}': '{column} 有 {count} 个',
  'Run it again with --yes if they may be lost': '如果可以丢失这些值，请加上 --yes 再次运行',
  'Dropping the columns rewrites {table}: about {seconds} s with the write lock held, and {size} MB of disk':
    '删除列会重写 {table}：约 {seconds} s 持有写锁，并需要 {size} MB 磁盘',
  'Run it again with --yes if other writers can wait that long':
    '如果其他写入者可以等待这么久，请加上 --yes 再次运行',
  'after the last batch of {backfill}': '在 {backfill} 的最后一个批次之后',
  'between two batches of {backfill}, at key {key} of {watermark}':
    '在 {backfill} 的两个批次之间（游标 {key}，水位线 {watermark}）',
  'between two batches of {backfill}, with {batches} left to revert':
    '在 {backfill} 的两个批次之间（还有 {batches} 个批次待撤销）',
} as const satisfies Catalogue;
