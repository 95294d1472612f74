import type { Catalogue } from './message.js';

/** Several stores at once. */
export const zhFleet = {
  'The command {command} is for one store': '命令 {command} 只能用于一个存储',
  '{option} is for one store': '{option} 只能用于一个存储',
  'Several stores need a config file, which other processes can load':
    '多个存储需要其他进程可以加载的配置文件',
  'Pass one store with --db-path': '请用 --db-path 给出一个存储',
  'No file matches {pattern}': '没有与 {pattern} 匹配的文件',
  'Pass paths, or a pattern in quotes: --db-path "stores/*.db"':
    '请给出路径，或加引号的模式： --db-path "stores/*.db"',
  'The process that worked on this store has ended ({how}); every committed batch is kept':
    '处理该存储的进程已结束（{how}）；所有已提交的批次均予保留',
  Command: '命令',
  Stores: '存储数',
  Outcome: '结果',
  Done: '完成',
  Took: '用时',
  'Many stores': '多个存储',
  'Not done': '未完成',
  outcome: '结果',
  stores: '存储数',
  done: '完成',
  failed: '失败',
  'work pending': '有待处理的工作',
  locked: '已锁定',
  stopped: '已停止',
  '… and {stores} more: --json lists all': '……以及另外 {stores} 个：--json 列出全部',
  '{stores} stores in {duration}': '{stores} 个存储，用时 {duration}',
  'The link {path} belongs to user id {owner}; patterns do not follow links of other users':
    '链接 {path} 属于用户 ID {owner}，而模式不跟随其他用户的链接',
} as const satisfies Catalogue;
