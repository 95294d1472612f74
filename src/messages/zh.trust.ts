import type { Catalogue } from './message.js';

/** Refusals of what other users could lead this one to. */
export const zhTrust = {
  'Root does not use the store at {path}: user id {first} owns a part of its path, and user id {second} owns {at}':
    'root 不使用 {path} 处的存储：用户 ID {first} 拥有其路径的一部分，而用户 ID {second} 拥有 {at}',
  'Root does not use the store at {path}: the group of {at} may replace it':
    'root 不使用 {path} 处的存储：{at} 的用户组可以替换它',
  'Root does not use the store at {path}: every user may replace files in {at}':
    'root 不使用 {path} 处的存储：任何用户都可以替换 {at} 中的内容',
  'Root does not use the store at {path}: other users may create files next to it in {folder}':
    'root 不使用 {path} 处的存储：其他用户可以在 {folder} 中于其旁边放置文件',
  'Stop the application, and move the store to a separate folder: mkdir -m 700 {folder} && mv {files} {folder}':
    '请停止应用程序，并把存储移到单独的文件夹： mkdir -m 700 {folder} && mv {files} {folder}',
  'The store at {path} is not opened: {at} next to it is not a file':
    '未打开 {path} 处的存储：其旁边的 {at} 不是文件',
  'The store at {path} is not opened: {at} next to it belongs to user id {owner}':
    '未打开 {path} 处的存储：其旁边的 {at} 属于用户 ID {owner}',
  'Stop the application and move it away: sudo mv -T {from} {to}':
    '请结束应用程序并将其移走： sudo mv -T {from} {to}',
  'If the application did not create it, stop the application and move it away: sudo mv -T {from} {to}; if it did, the file may contain committed data: sudo chown --reference={path} {from}':
    '如果它不是应用程序创建的，请停止应用程序并将其移走： sudo mv -T {from} {to} ；如果是，其中可能有已提交的数据： sudo chown --reference={path} {from}',
  'Root does not use the store at {path} from within a program: it belongs to user id {owner}':
    'root 不在程序内部使用 {path} 处的存储：它属于用户 ID {owner}',
  'Root does not use the store at {path}, which belongs to user id {uid}, and {reason}':
    'root 不使用 {path} 处的存储，它属于用户 ID {uid}，而且{reason}',
  'that user may not read {file}': '该用户无权读取 {file}',
  'this process may not become that user ({code})': '此进程无法变为该用户（{code}）',
  'this process would keep rights of root': '此进程会保留 root 的权限',
  "Put sudo -u '#{uid}' before the command, so that this user runs it":
    "请在命令前加上 sudo -u '#{uid}' ，以该用户身份运行",
  'Remove that permission: chmod g-w {path}; or let the user of the application own the store':
    '请取消该权限： chmod g-w {path} ；或让应用程序的用户拥有该存储',
  'Remove that permission: chmod o-w {path}': '请取消该权限： chmod o-w {path}',
  "Put sudo -u '#{owner}' before the program; the command line, run as a separate process, switches to that user by itself":
    "请在程序前加上 sudo -u '#{owner}' ；命令行作为独立进程运行时会自动变为该用户",
  "Make the project and its node_modules readable for that user, for example in a folder of mode 755; or run the command with sudo -u '#{uid}' in a project that this user owns":
    "请让该用户能读取项目及其 node_modules，例如放在权限为 755 的文件夹中；或在该用户自己的项目中，在命令前加上 sudo -u '#{uid}' ",
  "Run the command with sudo -u '#{uid}', or start the container as that user":
    "请在命令前加上 sudo -u '#{uid}' ，或以该用户身份启动容器",

  'Root does not run {file}: user id {owner} owns {path}': 'root 不运行 {file}：用户 ID {owner} 拥有 {path}',
  'Root does not run {file}: the group of {path} may change it':
    'root 不运行 {file}：{path} 的用户组可以修改它',
  'Root does not run {file}: every user may change {path}': 'root 不运行 {file}：任何用户都可以修改 {path}',
  "Put sudo -u '#{owner}' before the command, so that this user runs it; or pass --trust-config if root may run their code":
    "请在命令前加上 sudo -u '#{owner}' ，以该用户身份运行；如果允许 root 运行他们编写的内容，请使用 --trust-config ",
  'Remove that permission: chmod go-w {path}; or pass --trust-config if root may run their code':
    '请取消该权限： chmod go-w {path} ；如果允许 root 运行他们编写的内容，请使用 --trust-config ',

  'Pass the path of the store itself: --db-path /path/to/store.db; or remove the link':
    '请给出存储本身的路径： --db-path /path/to/store.db ；或删除该链接',

  'The {what} cannot be written to {asked}: the link {path} belongs to user id {uid}':
    '无法将{what}写入 {asked}：链接 {path} 属于用户 ID {uid}',
  file: '文件',
  folder: '文件夹',
  'Remove the link, or choose another file for the {what}': '请删除该链接，或为{what}指定另一个文件',
  'The {what} cannot be written to {asked} as root: other users may replace folders in or at {at}':
    '无法以 root 身份将{what}写入 {asked}：其他用户可以替换 {at} 或其中的文件夹',
  'Choose a folder of root for the {what}, or run the command as the user of that folder':
    '请为{what}选择 root 的文件夹，或以该文件夹的用户身份运行命令',
} as const satisfies Catalogue;
