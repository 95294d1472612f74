import type { Catalog } from './translate.js';

/** Verifications: titles, verdicts, findings, and what mends them. */
export const zhChecks = {
  'Verification of {backfill}: {~verdict} ({duration})': '{backfill} 的校验：{verdict}（{duration}）',
  check: '检查项',
  verdict: '结论',
  finding: '发现',
  pass: '通过',
  warn: '警告',
  fail: '失败',
  unverified: '未校验',
  Coverage: '覆盖率',
  Consistency: '一致性',
  'All rows': '全部行',
  'By {column}': '按 {column} 分组',
  'Index use': '索引使用',
  Timestamps: '时间戳',
  NULLs: 'NULL 值',
  Lag: '延迟',
  Integrity: '完整性',
  Rules: '规则',
  '{title}: no row breaks it': '{title}：没有行违反',
  '{title}: {#rows} rows break it': '{title}：有 {rows} 行违反',
  'umzug-backfill verify --print-sql shows the query of each rule; mend the rows that it gives, then run umzug-backfill up':
    'umzug-backfill verify --print-sql 显示每条规则的查询；请修正它给出的行，然后运行 umzug-backfill up',

  '{column}: {#filled} of {#rows} filled ({#percent}%)':
    '{column}：{rows} 行中已填充 {filled} 行（{percent}%）',
  '{column}: {#filled} of {#rows} filled ({#percent}%), below the {#least}% asked for':
    '{column}：{rows} 行中已填充 {filled} 行（{percent}%），低于要求的 {least}%',
  '{#cells} cells of {column} are NULL though a value can be derived':
    '{column} 有 {cells} 个单元格为 NULL，但其值可以推导',
  '{#cells} cells of {column} wait for a catch-up': '{column} 有 {cells} 个单元格等待补跑',
  '{#cells} cells of {column} were refused by a trigger or a constraint':
    '{column} 有 {cells} 个单元格被触发器或约束拒绝',
  '{#cells} cells of {column} have no value to derive': '{column} 有 {cells} 个单元格没有可推导的值',
  'skipped: {reasons}': '已跳过：{reasons}',
  '{#equal} of {#filled} filled cells hold what their row derives':
    '{filled} 个已填充的单元格中，{equal} 个与所在行推导的值相同',
  '{#cells} cells filled by the run being verified do not hold what their row derives':
    '本次校验的运行所填充的 {cells} 个单元格与所在行推导的值不同',
  '{#cells} cells filled by the run being verified were changed since by other transactions':
    '本次校验的运行所填充的 {cells} 个单元格后来被其他事务修改',
  '{#cells} cells filled by an earlier run were changed since':
    '较早的运行所填充的 {cells} 个单元格后来被修改',
  '{#cells} cells written by the application hold a value of its own':
    '应用程序写入的 {cells} 个单元格保存着它自己的值',
  'all: {#rows} rows, {columns}': '全部：{rows} 行，{columns}',
  '{group}: {#rows} rows, {columns}': '{group}：{rows} 行，{columns}',
  'umzug-backfill skips {name} lists what no value can be derived for; ask for less with --min-coverage':
    'umzug-backfill skips {name} 列出没有可推导的值的行；请用 --min-coverage 要求更低的覆盖率',
  'no index is asked for': '未要求检查索引',
  '{index} does not exist': '{index} 不存在',
  '{index} (as {name})': '{index}（现名 {name}）',
  '{~index} is used': '{index} 已用于对应的查询',
  '{~index} could be used, but {engine} prefers {~other}': '{index} 可以使用，但 {engine} 选择了{other}',
  '{~index} is not used for its query': '{index} 未用于对应的查询',
  '{column}: {from} to {to}; {#without} of {#valid} without offset, read as UTC':
    '{column}：{from} 至 {to}；{valid} 个值中有 {without} 个未注明时区偏移，按 UTC 读取',
  '{column}: none; {#without} of {#valid} without offset, read as UTC':
    '{column}：无；{valid} 个值中有 {without} 个未注明时区偏移，按 UTC 读取',
  '{#values} values of {column} are no timestamps': '{column} 有 {values} 个值不是时间戳',
  '{#values} values of {column} lie in the future': '{column} 有 {values} 个值在将来',
  '{#rows} rows have {to} before {from}': '{rows} 行的 {to} 早于 {from}',
  '{column}: {#rows} of {#valid} hold the value of {fallback}, its fallback':
    '{column}：{valid} 个值中有 {rows} 个取自后备列 {fallback}',
  '{#rows} rows have an offset in one of {from} and {to}, and none in the other':
    '{rows} 行的 {from} 与 {to} 中只有一个注明了时区偏移',
  'in {#rows} of the rows that end before they start, {from} is {fallback}, its fallback: an application that writes the row a moment after the event makes that lag slightly negative, and nothing is to be mended':
    '在先于起点结束的行中，有 {rows} 行的 {from} 取自后备列 {fallback}：应用程序在事件之后片刻才写入该行，因此延迟略为负值，无需修正',
  'no row in scope has a NULL': '范围内没有含 NULL 的行',
  '{#rows} rows have NULL in all of {columns}': '{rows} 行的以下各列均为 NULL：{columns}',
  '{#rows} rows have NULL in only {columns}': '{rows} 行仅以下列为 NULL：{columns}',
  '{from} to {to}: {#rows} rows, p50 {#p50} s, p95 {#p95} s, p99 {#p99} s, max {#max} s':
    '{from} 至 {to}：{rows} 行，p50 {p50} s，p95 {p95} s，p99 {p99} s，最长 {max} s',
  'slowest: {rows}': '最慢：{rows}',
  'no row has both timestamps': '没有同时具有两个时间戳的行',
  'not asked for': '未要求检查',

  'the row of the step is missing': '缺少该步骤的记录行',
  'no run is recorded': '没有运行记录',
  '{#batches} batches agree with their runs': '{batches} 个批次与各自的运行相符',
  'the table holds {#cells} derived cells more than the ledger records':
    '表中的推导单元格比账本记录的多 {cells} 个',
  'the table holds {#cells} derived cells fewer than the ledger records: rows deleted or cells changed since':
    '表中的推导单元格比账本记录的少 {cells} 个：行已删除或单元格后来被修改',
  'batch {#number} belongs to no run': '批次 {number} 不属于任何运行',
  'run {#run} does not add up: it counts {#counted} batches, {#recorded} are recorded':
    '运行 {run} 的计数不符：它计有 {counted} 个批次，账本记录了 {recorded} 个',
  'batch {#number} overlaps the one before': '批次 {number} 与前一个批次重叠',
  'run {#run} has a batch behind its cursor or its watermark': '运行 {run} 有批次超出其游标或水位线',
  '{#count} more of them': '另有 {count} 处',
  'the cells of batch {#number} can not be read': '批次 {number} 的单元格无法读取',
  'the cells of batch {#number} do not match its counts': '批次 {number} 的单元格与其计数不符',
  'the skips of batch {#number} do not match its count': '批次 {number} 的跳过记录与其计数不符',
  'what {step} made does not match its row': '{step} 创建的内容与其记录行不符',

  'umzug-backfill down --to {name}, then umzug-backfill up, fills them anew, once what they are derived from, rows or function, is as it was when they were filled':
    '待其推导来源（行或函数）恢复为填充时的样子后，先运行 umzug-backfill down --to {name}，再运行 umzug-backfill up，即可重新填充',
  '{#cells} cells hold what an earlier declaration of the backfill derived, which filled them':
    '{cells} 个单元格保存着该回填较早的声明所推导并填充的值',
  '{#cells} cells were filled by what can not be asked any more, and are not compared':
    '{cells} 个单元格当初的填充来源已无法再询问，未作比较',
  "umzug-backfill backfill {name} --rescan takes the table as it is: cells the ledger has lost count as the application's own, and `down` leaves them":
    'umzug-backfill backfill {name} --rescan 以表的现状为准：账本丢失记录的单元格视为应用程序自己的值，`down` 会保留它们',
  'umzug-backfill up (it makes again what {steps} made and somebody dropped), or ANALYZE where the index stands but is not used':
    'umzug-backfill up （重新创建 {steps} 创建后被删除的内容）；如果索引存在但未被使用，则运行 ANALYZE',
  'ANALYZE, so that {engine} knows the index pays': '运行 ANALYZE，让 {engine} 知道该索引值得使用',
} as const satisfies Catalog;
