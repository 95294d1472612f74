import type { Catalogue } from './message.js';

/** Results, plans, tables and prompts of the commands. */
export const zhResults = {
  none: '无',
  '.': '。',
  ', ': '、',
  ': ': '：',
  'warning: {text}.': '警告：{text}。',

  // up, deploy, down, backfill
  'Nothing to do: every step is applied and verified.': '无事可做：所有步骤均已应用并通过校验。',
  'recreated missing objects of {name}': '已重新创建 {name} 缺失的内容',
  '{cells} cells that {name} had filled were NULL again, and were filled again':
    '{name} 曾填充的 {cells} 个单元格又变为 NULL，现已重新填充',
  'The keys of {table} begin again: {cells} cells were filled in rows with keys that {name} had filled before':
    '{table} 的键重新开始：已在 {name} 先前填充过其键的行中填充了 {cells} 个单元格',
  'caught up {name}': '已补跑 {name}',
  'applied {name}': '已应用 {name}',
  'deferred to the background: {name}. Run: umzug-backfill up':
    '留给后台：{name}（可用 umzug-backfill up 完成）',
  'Pending changes. Run: umzug-backfill deploy': '有待处理的工作，请运行：umzug-backfill deploy',
  'Pending changes: {names}. Run: umzug-backfill deploy':
    '有待处理的工作，请运行：umzug-backfill deploy （{names}）',
  'Nothing to do: no step is applied.': '无事可做：没有已应用的步骤。',
  '{reverted} cells reverted, {kept} kept (they, or their sources, changed since)':
    '撤销 {reverted} 个单元格，保留 {kept} 个（其自身或推导来源已被修改）',
  '{cells} cells kept (their values can no longer be derived)':
    '{cells} 个单元格保留，因为已无法再询问当初填充它们的内容',
  '{cells} cells of missing rows (deleted, or their key changed)':
    '{cells} 个单元格所在的行已不存在：行被删除，或其键被修改',
  'reverted {name}': '已撤销 {name}',
  'Nothing to do: no rows pending catch-up.': '无事可做：没有等待补跑的行。',
  're-ran {name}': '已再次运行 {name}',

  // what stands around them
  'Backup: {path} ({size}). To restore it: umzug-backfill restore {file}':
    '备份：{path}（{size}）。如需恢复到该备份：umzug-backfill restore {file}',
  'Integrity not checked: the schema uses functions or collations that only the application provides.':
    '无法检查该备份是否损坏：其模式用到了只有应用程序才具备的功能。',
  'known after {step} is applied, which may create what it needs':
    '在 {step} 应用之后才可知，它可能会创建所需的内容',
  'Removed an old backup: {path}': '已删除旧备份：{path}',
  'The store has {size} as before, of which {free} are free.': '存储大小不变，为 {size}，其中 {free} 空闲。',
  'The store grew by {change} to {size}, of which {free} are free.':
    '存储增大了 {change}，现为 {size}，其中 {free} 空闲。',
  'The store shrank by {change} to {size}, of which {free} are free.':
    '存储减小了 {change}，现为 {size}，其中 {free} 空闲。',
  'VACUUM would free that space; it needs as much disk again and blocks other writers.':
    'VACUUM 可以归还空闲部分；它需要同样大小的磁盘空间，并会阻塞其他写入者。',
  'VACUUM is not worthwhile.': '不值得运行 VACUUM。',
  'Continue anyway? [y/N]': '仍要继续吗？[y/N]',

  // dry runs
  'Dry run of `{command}`: nothing to do.': '试运行 `{command}`：无事可做。',
  'Dry run of `{command}`: nothing was written. It would do this:':
    '试运行 `{command}`：未写入任何内容。实际运行将会：',
  'a backup first: {size} in {folder}': '先做备份：{size}，位于 {folder}',
  '{name}: verify what an earlier run filled': '{name}：校验较早的运行所填充的内容',
  '{sql}   (write lock: about {duration})': '{sql}   （写锁：约 {duration}）',
  '{kind} run: {rows} rows in scope with a NULL, in {batches} batches, about {duration}':
    '{kind}运行：范围内有 {rows} 行含 NULL，分 {batches} 个批次，约需 {duration}',
  first: '首次',
  'catch-up': '补跑',
  rescan: '重新扫描',
  'cells to fill: {cells}': '待填充的单元格：{cells}',
  '{rows} rows already have a value and are left unchanged: {cells}': '{rows} 行已有值，保持原样：{cells}',
  'to skip: {skips}': '将跳过：{skips}',
  'to skip: none': '将跳过：无',
  'disk needed: about {size}, and briefly as much again for the journal':
    '所需磁盘：约 {size}，日志还会短暂占用同样大小',
  'triggers fired by each update: {triggers}': '每次更新会触发的触发器：{triggers}',
  'triggers fired by each update: none': '每次更新会触发的触发器：无',
  '‹not a timestamp, {length} characters›': '‹不是时间戳，{length} 个字符›',
  '‹not a timestamp, {length} bytes›': '‹不是时间戳，{length} 个字节›',
  '‹not a timestamp, a number›': '‹不是时间戳，是数字›',

  // status
  'Store: {path}': '存储：{path}',
  'Run in progress: {who}': '正在运行：{who}',
  'Run in progress: it has just started': '正在运行：刚刚启动',
  'No run in progress; the last one was stopped.': '没有正在进行的运行：上一次运行被停止。',
  step: '步骤',
  state: '状态',
  detail: '详情',
  pending: '待应用',
  applying: '部分应用',
  applied: '已应用',
  reverting: '部分撤销',
  'not finished, by version {version}': '尚未完成，由版本 {version} 执行',
  '{time}, {duration}, by version {version}': '{time}，用时 {duration}，由版本 {version} 执行',
  '{percent}%, at key {cursor} of {watermark}': '{percent}%，游标 {cursor}，水位线 {watermark}',
  '{rows} rows read in {batches} batches': '以 {batches} 个批次读取 {rows} 行',
  '{cells} cells filled': '填充 {cells} 个单元格',
  'skipped {skips}': '已跳过 {skips}',
  'nothing: it created nothing': '无需操作：它没有创建任何内容',
  'verification: {verdict}': '校验：{verdict}',
  'no rows pending catch-up in the 50,000 rows read': '在已查看的 50,000 行中没有等待补跑的行',
  'rows pending catch-up': '有行等待补跑',
  'Nothing to do in the 50,000 rows read of each table; status --check reads all.':
    '就每个表的 50,000 行来看，无事可做；status --check 会继续读取。',
  'The run in progress will finish the rest.': '剩下的工作由正在进行的运行完成。',
  'Pending changes. Run: umzug-backfill up': '有待处理的工作，请运行：umzug-backfill up',
  'Nothing to do.': '无事可做。',

  // skips
  backfill: '回填',
  key: '键',
  what: '内容',
  reason: '原因',
  'the row': '整行',
  'Nothing was skipped.': '没有跳过任何内容。',

  // restore
  'Dry run of `restore`: nothing was written. It would write {from} ({size}) into {path}.':
    '试运行 `restore`：未写入任何内容。实际运行会将 {from}（{size}）写入 {path}。',
  'The ledger has no record of this file, so its contents were not compared.':
    '账本不认识该文件，因此未比对其内容。',
  'Restored {path} from {from} ({size}).': '已从 {from}（{size}）恢复 {path}。',
  'The store was damaged; its files are kept as {saved}.': '存储已损坏；其文件原样保存在：{saved}。',
  'The store as it was: {saved}. To restore that: umzug-backfill restore {file}':
    '恢复前的存储：{saved}。如需恢复到该状态：umzug-backfill restore {file}',
  'Other programs wrote during the restore; that copy does not contain what they wrote after it was started.':
    '其他程序一直写入到最后一刻：该副本开始之后写入的内容不在其中。',
  'The file was replaced: restart every program that may have had the store open.':
    '文件已被替换：请重启所有可能打开过该存储的程序。',

  // report
  'No report was written ({code}: {message}).': '未写入报告（{code}：{message}）。',
  'No report was written, because the run was stopped.': '运行已被停止，未写入报告。',
  'Report: {path} ({size}).': '报告：{path}（{size}）。',
  'not applied, or not verifiable': '未应用，或无法校验',
  'Dry run of `report`: nothing was written. It would write {path}.':
    '试运行 `report`：未写入任何内容。实际运行会写入 {path}。',
} as const satisfies Catalogue;
