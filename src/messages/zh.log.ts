import type { Catalogue } from './message.js';

/** Sentences of the log on a terminal. */
export const zhLog = {
  '{text}': '{text}', // what has no language, or comes from another thread or process in English
  'applying {step}': '正在应用 {step}',
  'reverting {step}': '正在撤销 {step}',
  'applied {step}': '已应用 {step}',
  'reverted {step}': '已撤销 {step}',
  '{backfill}: {kind} run starts': '{backfill}：{kind}运行开始',
  '{backfill}: {kind} run resumes after key {cursor}': '{backfill}：{kind}运行从键 {cursor} 之后继续',
  '{backfill}: {rows} rows already have a value and are left unchanged: {cells}':
    '{backfill}：{rows} 行已有值，保持原样：{cells}',
  '{backfill}: none of {cells} cells filled; skipped: {skips}':
    '{backfill}：{cells} 个单元格均未填充；已跳过：{skips}',
  '{backfill}: batches start': '{backfill}：批次开始',
  '{backfill}: batches finished': '{backfill}：批次结束',
  'batch {batch} of {backfill}: {rowsScanned} rows, {cellsFilled} cells filled, {cellsSkipped} skipped, up to key {lastKey}, {durationMs}':
    '{backfill} 的批次 {batch}：{rowsScanned} 行，填充 {cellsFilled} 个单元格，跳过 {cellsSkipped} 个，至键 {lastKey}，用时 {durationMs}',
  'batch {batch} of {backfill}: {reverted} cells reverted, {kept} kept':
    '{backfill} 的批次 {batch}：撤销 {reverted} 个单元格，保留 {kept} 个',
  '{backfill}: row {key} skipped: {reason}': '{backfill}：跳过行 {key}：{reason}',
  '{backfill}: {target} of row {key} skipped: {reason}': '{backfill}：跳过行 {key} 的 {target}：{reason}',
  '{backfill}: the update of row {key} was rejected: {reason}': '{backfill}：行 {key} 的更新被拒绝：{reason}',
  '{backfill}: pause of {pauseMs} for other clients': '{backfill}：为其他客户端暂停 {pauseMs}',
  '{backfill}: the store is busy; next attempt in {pauseMs}': '{backfill}：存储繁忙；{pauseMs} 后再次尝试',
  '{backfill}: a reader keeps the WAL at {walBytes}; waiting for it':
    '{backfill}：某个读取者使 WAL 保持在 {walBytes}；正在等待',
  '{backfill}: {percent}%, {rows} cells reverted': '{backfill}：{percent}%，撤销 {rows} 个单元格',
  '{backfill}: {percent}%, {rows} rows, {rowsPerSecond} rows/s, {skippedCells} skipped':
    '{backfill}：{percent}%，{rows} 行，{rowsPerSecond} 行/秒，跳过 {skippedCells} 个单元格',
  '{backfill}: {percent}%, {rows} rows, {rowsPerSecond} rows/s, {skippedCells} skipped, {etaSeconds} left':
    '{backfill}：{percent}%，{rows} 行，{rowsPerSecond} 行/秒，跳过 {skippedCells} 个单元格，还需 {etaSeconds}',
  'verification of {backfill}: {verdict}, {durationMs}': '{backfill} 的校验：{verdict}，用时 {durationMs}',
  '{step}: write lock for about {lockMs}, {diskBytes} of disk needed':
    '{step}：写锁约 {lockMs}，需要 {diskBytes} 磁盘空间',
  'waiting for another run': '正在等待另一个运行',
  'waiting for process {pid} on {host}': '正在等待 {host} 上的进程 {pid}',
  'waiting for process {pid} on {host}, which started at {since}':
    '正在等待 {host} 上的进程 {pid}，它从 {since} 开始运行',
  '{backfill}: waiting for other workers': '{backfill}：正在等待其他工作者',
  '{backfill}: waiting for process {pid} on {host}': '{backfill}：正在等待 {host} 上的进程 {pid}',
  '{backfill}: waiting for process {pid} on {host}, which started at {since}':
    '{backfill}：正在等待 {host} 上的进程 {pid}，它从 {since} 开始运行',
  'backup: {path} ({bytes})': '备份：{path}（{bytes}）',
  'the store as it was: {path}': '原来的存储：{path}',
  'running as user id {uid}, the owner of {store}': '以用户 ID {uid}（{store} 的所有者）运行',
  '{store}: exit code {exitCode}, {durationMs}': '{store}：退出码 {exitCode}，用时 {durationMs}',
  '{done} of {stores} stores finished': '{stores} 个存储中已完成 {done} 个',
} as const satisfies Catalogue;
