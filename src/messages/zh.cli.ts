import type { Catalogue } from './message.js';

/** Messages of options and calls, of the command line and of the API. */
export const zhCli = {
  'Expected `{option}` to be {expected}, got `{value}`': '`{option}` 应为{expected}，实际为 `{value}`',
  'Expected `{option}` in {what} to be {expected}, got `{value}`':
    '{what} 中的 `{option}` 应为{expected}，实际为 `{value}`',
  'a positive integer': '正整数',
  'a number, 0 or more': '不小于 0 的数',
  'a number from 0 to 100': ' 0 到 100 之间的数',
  'true or false': ' true 或 false',
  'a text': '文本',
  'a non-empty string': '非空字符串',
  'a non-empty string, or a list of such strings': '非空字符串，或此类字符串的列表',
  'an object': '对象',
  'an object with a list of columns for each table': '对象，其中每个表对应一个列名列表',
  'a list of folders': '文件夹的列表',
  'a folder': '文件夹',
  'a version': '版本号',
  'a function': '函数',
  'one of {choices}': ' {choices} 之一',
  'an AbortSignal': ' AbortSignal（中止信号）',
  'false or an object': ' false 或对象',
  '`{option}` of {what}': '{what} 的 `{option}`',
  "Unknown command '{command}'": '未知的命令 {command}',
  "Unknown option '{option}'": '未知的选项 {option}',
  '{message} (Did you mean {names}?)': '{message}（是否指 {names}？）',
  "Option '{option}' argument missing": '选项 {option} 缺少参数值',
  "Argument '{argument}' missing": '缺少参数 {argument}',
  "Option '{option}' cannot be used with option '{other}'": '选项 {option} 不能与选项 {other} 同时使用',
  "Too many arguments for '{command}': maximum {maximum}, got {got}":
    '{command} 的参数过多：最多 {maximum} 个，实际为 {got} 个',
  'No command is given': '没有给出命令',
  'Run umzug-backfill --help, or the command with --help':
    '请运行 umzug-backfill --help ，或在命令后加 --help',
} as const satisfies Catalogue;
