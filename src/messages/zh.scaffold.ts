import type { Catalogue } from './message.js';

/** Errors of `init` and `create`. */
export const zhScaffold = {
  '{path} exists, and existing files are never overwritten': '{path} 处已有文件，本程序从不覆盖文件',
  'Choose another name, or move that file away first': '请换一个名称，或先移走该文件',
  '{path} cannot be written by this user ({code})': '当前用户无法写入 {path}（{code}）',
  'Pass a name for what it does, such as order-times; its number is added':
    '请以它所做的事命名，如 order-times：编号会加在前面',
  'Choose a name that sorts after it': '请换一个排在它之后的名称',
  'Expected the name of the step to be letters, digits, - and _, and a letter first, got {name}':
    '步骤的名称应由字母、数字、- 和 _ 组成，并以字母开头，实际为 {name}',
  'The step {step} would sort before {other}, and steps run in the order of their names':
    '步骤 {step} 会排在 {other} 之前，而步骤按名称的顺序运行',
  'A new config contains the path of a store, not the URL of a database':
    '新的配置写的是存储的路径，而不是数据库的 URL',
  'Run it without --db-path, then run commands with --database-url or DATABASE_URL':
    '省略 --db-path，在运行命令时用 --database-url 或 DATABASE_URL 指定数据库',
  'Grant this user write permission on its folder': '请授予当前用户其所在文件夹的写权限',
} as const satisfies Catalogue;
