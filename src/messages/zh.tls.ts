import type { Catalog } from './translate.js';

/** Encryption of connections, and parameters of a URL. */
export const zhTls = {
  'The server offers no encryption, and sslmode asks for it': '服务器不提供加密，而 sslmode 要求加密',
  'Turn it on at the server (ssl = on); or, if nobody else is on the way to it, write sslmode=disable':
    '请在服务器上启用（ssl = on）；若途中没有其他人，也可写 sslmode=disable',
  'The certificate of the server is for another host': '服务器的证书属于另一台主机',
  'Name the server by a name that its certificate has; or let any host count that the authority has signed: sslmode=verify-ca with sslrootcert=FILE':
    '请用证书中的名称指定服务器；或接受该机构签署的任何主机： sslmode=verify-ca 与 sslrootcert=FILE',
  'The certificate of the server does not count, or not at this time': '服务器的证书无效，或此时无效',
  'Renew it at the server, and check the clocks of both machines':
    '请在服务器上更新证书，并检查两台机器的时钟',
  'No authority that this program trusts has signed the certificate of the server':
    '服务器的证书不是由本程序信任的机构签署的',
  'Name the file with the certificate of the authority that has: sslrootcert=FILE in the URL, or PGSSLROOTCERT':
    '请指定签署机构的证书文件：在 URL 中写 sslrootcert=FILE ，或设置 PGSSLROOTCERT',
  'The server and this program could not begin to encrypt the connection': '服务器与本程序无法开始加密连接',
  'Check the files of sslrootcert, sslcert and sslkey, and the log of the server':
    '请检查 sslrootcert 、 sslcert 和 sslkey 的文件，以及服务器的日志',
  'The URL of the database has an unknown parameter': '数据库的 URL 有未知的参数',
  'The URL of the database has an unknown parameter, `{name}`': '数据库的 URL 有未知的参数 `{name}`',
  'Write {name} or leave it out; {~known}': '请改为 {name} 或将其去掉；{known}',
  'Leave it out; {~known}': '请将其去掉；{known}',
  'those that are known: {names}': '已知的参数： {names}',
  'Leave it out, and write ?, & and # in a password as %3F, %26 and %23':
    '请将其去掉，并把密码中的 ? 、 & 和 # 写作 %3F 、 %26 和 %23',
  'The URL of the database has the parameter `{name}` twice': '数据库的 URL 中参数 `{name}` 出现两次',
  'Leave one of them out': '请去掉其中一个',
  'Write {name}={value}': '请写作 {name}={value}',
  'The file of `{parameter}`, {path}, can not be read ({code})':
    '无法读取 `{parameter}` 的文件 {path}（{code}）',
  'Give the path of a file that this user may read': '请给出当前用户可读的文件的路径',
  'The URL of the database has both `ssl` and `sslmode`': '数据库的 URL 同时有 `ssl` 和 `sslmode`',
  'Leave `ssl` out': '请去掉 `ssl`',
  '`sslmode` is `verify-ca`, and `sslrootcert` does not say which authority is meant':
    '`sslmode` 为 `verify-ca`，而 `sslrootcert` 没有说明是哪个机构',
  'Write sslmode=verify-full, or add sslrootcert=FILE': '请写 sslmode=verify-full ，或加上 sslrootcert=FILE',
  'With `sslrootcert=system` anybody can have a certificate, so that its host counts':
    '使用 `sslrootcert=system` 时任何人都可以有证书，因此其主机必须相符',
  'Write sslmode=verify-full': '请写 sslmode=verify-full',
  'One of `sslcert` and `sslkey` is given without the other': '`sslcert` 和 `sslkey` 只给出了其中一个',
  'Give both, or none': '请两个都给出，或都不给出',
  '`sslnegotiation=direct` needs a mode that does not go without encryption':
    '`sslnegotiation=direct` 需要必定加密的模式',
  'The connection to {host} is not encrypted, and others on the way can read and change what it carries: {~fix}':
    '到 {host} 的连接未加密，途中的其他人可以读取和更改其内容：{fix}',
  'The connection to {host} may not be encrypted, as sslmode is {mode}, and others on the way could read and change what it carries: {~fix}':
    '到 {host} 的连接可能未加密，因为 sslmode 为 {mode} ，途中的其他人可能读取和更改其内容：{fix}',
  'add ?sslmode=verify-full to the URL, or set PGSSLMODE':
    '请在 URL 后加上 ?sslmode=verify-full ，或设置 PGSSLMODE',
} as const satisfies Catalog;
