import type { Catalogue } from './message.js';

/** Verifications: titles, verdicts, findings, hints. */
export const zhChecks = {
  'Verification of {backfill}: {verdict} ({duration})': '{backfill} 的校验：{verdict}（{duration}）',
  check: '检查项',
  verdict: '结论',
  finding: '发现',
  pass: '通过',
  warn: '警告',
  fail: '失败',
  unverified: '未校验',
  'Not configured': '未配置',

  'Run: umzug-backfill verify': '请运行：umzug-backfill verify',

  Coverage: '覆盖率',
  '{column}: {filled} of {rows} filled ({percent}%)': '{column}：{rows} 行中已填充 {filled} 行（{percent}%）',
  '{column}: {filled} of {rows} filled ({percent}%), below the required {minimum}%':
    '{column}：{rows} 行中已填充 {filled} 行（{percent}%），低于要求的 {minimum}%',
  '{cells} cells of {column} are NULL though a value can be derived':
    '{column} 有 {cells} 个单元格为 NULL，但其值可以推导',
  '{cells} cells of {column} are pending catch-up': '{column} 有 {cells} 个单元格等待补跑',
  '{cells} cells of {column} were rejected by a trigger or a constraint':
    '{column} 有 {cells} 个单元格被触发器或约束拒绝',
  '{cells} cells of {column} have no value to derive': '{column} 有 {cells} 个单元格没有可推导的值',
  'Skipped: {reasons}': '已跳过：{reasons}',
  'Run: umzug-backfill backfill {name} --rescan': '请运行：umzug-backfill backfill {name} --rescan',
  'Run umzug-backfill skips {name} to list the rows without a value, or pass a lower --min-coverage':
    '请运行 umzug-backfill skips {name} 列出没有值的行，或用 --min-coverage 要求更低的覆盖率',

  Consistency: '一致性',
  '{equal} of {filled} filled cells equal the derived value':
    '{filled} 个已填充的单元格中，{equal} 个与推导的值相同',
  '{cells} cells filled by the run being verified differ from the derived value':
    '本次校验的运行所填充的 {cells} 个单元格与推导的值不同',
  '{cells} cells filled by the run being verified were changed since by other transactions':
    '本次校验的运行所填充的 {cells} 个单元格后来被其他事务修改',
  '{cells} cells filled by an earlier run were changed since':
    '较早的运行所填充的 {cells} 个单元格后来被修改',
  '{cells} cells hold the value that an earlier definition of the backfill derived':
    '{cells} 个单元格保存着该回填较早的定义所推导的值',
  '{cells} cells cannot be compared: what filled them is no longer available':
    '{cells} 个单元格无法比较：当初填充它们的来源已不可用',
  '{cells} cells written by the application hold another value':
    '应用程序写入的 {cells} 个单元格保存着另外的值',
  'Run umzug-backfill down --to {name}, then umzug-backfill up, once the rows or the function that the cells are derived from are as they were when the cells were filled':
    '待推导所依据的行或函数恢复为填充时的样子后，请先运行 umzug-backfill down --to {name} ，再运行 umzug-backfill up',

  Groups: '分组',
  'All rows': '全部行',
  'By {column}': '按 {column} 分组',
  '{group}: {rows} rows, {columns}': '{group}：{rows} 行，{columns}',

  'Index use': '索引使用',
  '{index} does not exist': '{index} 不存在',
  '{index} (as {name})': '{index}（现名 {name}）',
  '{index} is used': '{index} 已用于对应的查询',
  '{index} could be used, but {engine} prefers another plan':
    '{index} 可以使用，但 {engine} 选择了另一种方案',
  '{index} is not used for its query': '{index} 未用于对应的查询',
  'Run umzug-backfill up to recreate what was dropped of {steps}; if the index exists but is not used, run ANALYZE in the store':
    '请运行 umzug-backfill up 重新创建 {steps} 中被删除的内容；如果索引存在但未被使用，请在存储中运行 ANALYZE',
  'Run ANALYZE in the store, so that {engine} has statistics in favor of the index':
    '请在存储中运行 ANALYZE，让 {engine} 获得支持使用该索引的统计信息',

  Timestamps: '时间戳',
  '{column}: {from} to {to}; {without} of {valid} without offset, read as UTC':
    '{column}：{from} 至 {to}；{valid} 个值中有 {without} 个未注明时区偏移，按 UTC 读取',
  '{column}: no timestamps': '{column}：没有时间戳',
  '{column}: {rows} of {valid} hold the value of the fallback {fallback}':
    '{column}：{valid} 个值中有 {rows} 个取自后备列 {fallback}',
  '{values} values of {column} are not timestamps': '{column} 有 {values} 个值不是时间戳',
  '{values} values of {column} are in the future': '{column} 有 {values} 个值在将来',
  '{rows} rows have {to} before {from}': '{rows} 行的 {to} 早于 {from}',
  '{rows} rows have an offset in only one of {from} and {to}':
    '{rows} 行的 {from} 与 {to} 中只有一个注明了时区偏移',
  'No fix is needed for {rows} of the rows with {to} before {from}: there {from} is its fallback {fallback}, which the application writes a moment after the event':
    '{to} 早于 {from} 的行中有 {rows} 行无需修正：其 {from} 取自后备列 {fallback}，应用程序在事件之后片刻才写入该列',

  NULLs: 'NULL 值',
  'No row in scope has a NULL': '范围内没有含 NULL 的行',
  '{rows} rows have NULL in all of {columns}': '{rows} 行的以下各列均为 NULL：{columns}',
  '{rows} rows have NULL in only {columns}': '{rows} 行仅以下列为 NULL：{columns}',

  Lag: '延迟',
  'No row has both timestamps': '没有同时具有两个时间戳的行',
  '{from} to {to}: {rows} rows, p50 {p50} s, p95 {p95} s, p99 {p99} s, max {max} s':
    '{from} 至 {to}：{rows} 行，p50 {p50} s，p95 {p95} s，p99 {p99} s，最长 {max} s',
  'Slowest: {rows}': '最慢：{rows}',

  Integrity: '完整性',
  'The row of the step is missing': '缺少该步骤的记录行',
  'No run is recorded': '没有运行记录',
  '{batches} batches agree with their runs': '{batches} 个批次与各自的运行相符',
  'The table holds {cells} more derived cells than the ledger records':
    '表中的推导单元格比账本记录的多 {cells} 个',
  'The table holds {cells} fewer derived cells than the ledger records: rows were deleted or cells changed since':
    '表中的推导单元格比账本记录的少 {cells} 个：行已删除或单元格后来被修改',
  'Batch {number} belongs to no run': '批次 {number} 不属于任何运行',
  'Run {run} does not add up: it counts {counted} batches, {recorded} are recorded':
    '运行 {run} 的计数不符：它计有 {counted} 个批次，账本记录了 {recorded} 个',
  'Batch {number} overlaps the one before': '批次 {number} 与前一个批次重叠',
  'Run {run} has a batch past its cursor or its watermark': '运行 {run} 有批次超出其游标或水位线',
  '{contradictions} more contradictions': '另有 {contradictions} 处矛盾',
  'The cells of batch {number} cannot be read': '批次 {number} 的单元格无法读取',
  'The cells of batch {number} do not match its counts': '批次 {number} 的单元格与其计数不符',
  'The skips of batch {number} do not match its count': '批次 {number} 的跳过记录与其计数不符',
  "Run umzug-backfill backfill {name} --rescan to accept the table as it is: cells missing from the ledger then count as the application's, and `down` keeps them":
    '请运行 umzug-backfill backfill {name} --rescan ，以表的现状为准：账本中缺失的单元格此后视为应用程序自己的值，`down` 会保留它们',

  Rules: '规则',
  '{title}: no row breaks it': '{title}：没有行违反',
  '{title}: {rows} rows break it': '{title}：有 {rows} 行违反',
  'Fix the rows that the query of the rule returns, then run umzug-backfill up; if the backfill is wrong, fix its file, then run umzug-backfill down --to {name}, then umzug-backfill up':
    '请修正规则的查询所返回的行，然后运行 umzug-backfill up ；如果回填本身有误，请修正其文件，运行 umzug-backfill down --to {name} ，再运行 umzug-backfill up',
} as const satisfies Catalogue;
