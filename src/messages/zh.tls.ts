import type { Catalogue } from './message.js';

/** Encryption of connections, and parameters of a URL. */
export const zhTls = {
  'The server does not support TLS, and sslmode requires it': '服务器不支持 TLS，而 sslmode 要求 TLS',
  'Turn on TLS at the server (ssl = on); or, on a trusted network only, set sslmode=disable':
    '请在服务器上启用 TLS（ssl = on）；仅在可信网络中，也可设置 sslmode=disable',
  'The certificate of the server is for another host': '服务器的证书属于另一台主机',
  'Use a host name from the certificate; or accept every host that the authority has signed: sslmode=verify-ca with sslrootcert=FILE':
    '请用证书中的名称指定服务器；或接受该机构签署的任何主机： sslmode=verify-ca 与 sslrootcert=FILE',
  'The certificate of the server is not valid, or not at this time': '服务器的证书无效，或此时无效',
  'Renew it at the server, and check the clocks of both machines':
    '请在服务器上更新证书，并检查两台机器的时钟',
  'No authority that this program trusts has signed the certificate of the server':
    '服务器的证书不是由本程序信任的机构签署的',
  'Set sslrootcert=FILE in the URL, or PGSSLROOTCERT, to the certificate of the authority that has signed it':
    '请在 URL 中设置 sslrootcert=FILE ，或设置 PGSSLROOTCERT ，指定签署机构的证书',
  'The TLS handshake with the server failed': '与服务器的 TLS 握手失败',
  'Check the files of sslrootcert, sslcert and sslkey, and the log of the server':
    '请检查 sslrootcert 、 sslcert 和 sslkey 的文件，以及服务器的日志',
  'The URL of the database has an unknown parameter': '数据库的 URL 有未知的参数',
  'The URL of the database has an unknown parameter, `{name}`': '数据库的 URL 有未知的参数 `{name}`',
  'Replace it by {name}, or remove it; {known}': '请改为 {name} 或将其去掉；{known}',
  'Remove it; {known}': '请将其去掉；{known}',
  'supported parameters: {names}': '支持的参数： {names}',
  'Remove it; in a password, encode ?, & and # as %3F, %26 and %23':
    '请将其去掉，并把密码中的 ? 、 & 和 # 写作 %3F 、 %26 和 %23',
  'The URL of the database has the parameter `{name}` twice': '数据库的 URL 中参数 `{name}` 出现两次',
  'Remove one of them': '请去掉其中一个',
  'Set {name}={value}': '请写作 {name}={value}',
  'The file of `{parameter}`, {path}, cannot be read ({code})':
    '无法读取 `{parameter}` 的文件 {path}（{code}）',
  'Pass the path of a file that this user may read': '请给出当前用户可读的文件的路径',
  'The URL of the database has both `ssl` and `sslmode`': '数据库的 URL 同时有 `ssl` 和 `sslmode`',
  'Remove `ssl`': '请去掉 `ssl`',
  '`sslmode` is `verify-ca`, but `sslrootcert` is not set':
    '`sslmode` 为 `verify-ca`，但没有设置 `sslrootcert`',
  'Set sslmode=verify-full, or add sslrootcert=FILE': '请写 sslmode=verify-full ，或加上 sslrootcert=FILE',
  '`sslrootcert=system` requires a check of the host, because anyone can get a certificate':
    '使用 `sslrootcert=system` 时必须检查主机，因为任何人都可以取得证书',
  'Set sslmode=verify-full': '请写 sslmode=verify-full',
  'Only one of `sslcert` and `sslkey` is set': '`sslcert` 和 `sslkey` 只给出了其中一个',
  'Set both or neither': '请两个都给出，或都不给出',
  '`sslnegotiation=direct` requires a mode that enforces encryption':
    '`sslnegotiation=direct` 需要必定加密的模式',
  'The connection to {host} is not encrypted; others on the network can read and change its data: {fix}':
    '到 {host} 的连接未加密，途中的其他人可以读取和更改其内容：{fix}',
  'The connection to {host} may not be encrypted, because sslmode is {mode}; others on the network could read and change its data: {fix}':
    '到 {host} 的连接可能未加密，因为 sslmode 为 {mode} ，途中的其他人可能读取和更改其内容：{fix}',
  'add ?sslmode=verify-full to the URL, or set PGSSLMODE':
    '请在 URL 后加上 ?sslmode=verify-full ，或设置 PGSSLMODE',
} as const satisfies Catalogue;
