import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { BackfillError, errnoOf } from '../../errors.js';
import { type Message, msg, type PlainText } from '../../messages/message.js';
import { hostOf, nearest, type PostgresAddress, urlParameter } from './address.js';

// Values of `sslmode` have their libpq meaning. The driver differs: in version 8, `require` and `allow` mean `verify-full`, and
// an unknown value means no encryption in the environment but `verify-full` in a URL.

/** Values of `sslmode`: those of libpq, and the driver's `no-verify`. */
const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'] as const;
type SslMode = (typeof MODES)[number];

/** Modes that never fall back to an unencrypted connection. */
const STRICT: readonly SslMode[] = ['require', 'verify-ca', 'verify-full', 'no-verify'];

/** Parameters of a URL that this module reads instead of the driver. */
export const TLS_PARAMETERS = ['ssl', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const;

/** Attempts to connect, in order; false: without encryption. */
export type TlsAttempts = readonly (ConnectionOptions | false)[];

/** Hosts on this machine: a socket folder, `localhost`, or a loopback address. */
const THIS_MACHINE = /^(?:\/.*|localhost|(?:::ffff:)?127(?:\.\d+){3}|::1)$/i;

/**
 * Returns `text` if it is a mode.
 *
 * @param source the parameter or variable that contained it
 * @throws {BackfillError} `USAGE` naming the nearest mode
 */
export function requireSslMode(text: string, source: string): SslMode {
  const mode = MODES.find((each) => each === text);
  if (mode) return mode;
  const got = /^[\w-]{1,20}$/.test(text) ? text : '…';
  const meant = nearest(text, MODES) ?? 'verify-full';
  throw new BackfillError(
    'USAGE',
    msg('Expected `{option}` to be one of {choices}, got `{value}`', {
      option: source,
      choices: MODES.join(', '),
      value: got,
    }),
    msg('Set {name}={value}', { name: source, value: meant }),
  );
}

/** TLS settings of a connection. */
interface TlsSettings {
  /** Undefined if unset: the connection is not encrypted. */
  readonly mode: SslMode | undefined;
  /** Path of a file. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/**
 * Reads the TLS settings of a URL, else of the environment (`PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`). Ignores
 * libpq's default files in `~/.postgresql`.
 *
 * @throws {BackfillError} `USAGE` if they contradict each other
 */
export function tlsSettings({ url }: PostgresAddress): TlsSettings {
  const setting = (name: string): string | undefined =>
    urlParameter(url, name) ?? (process.env[`PG${name.toUpperCase()}`] || undefined);
  const [ca, cert, key] = [setting('sslrootcert'), setting('sslcert'), setting('sslkey')];
  const mode = modeOf(url) ?? (ca === undefined && cert === undefined ? undefined : 'verify-full');
  const refuse = (message: PlainText, hint: PlainText): never => {
    throw new BackfillError('USAGE', msg(message), msg(hint));
  };
  if (urlParameter(url, 'sslmode') !== undefined && urlParameter(url, 'ssl') !== undefined)
    refuse('The URL of the database has both `ssl` and `sslmode`', 'Remove `ssl`');
  if (mode === 'verify-ca' && ca === undefined)
    refuse(
      '`sslmode` is `verify-ca`, but `sslrootcert` is not set',
      'Set sslmode=verify-full, or add sslrootcert=FILE',
    );
  if (ca === 'system' && mode !== 'verify-full')
    refuse(
      '`sslrootcert=system` requires a check of the host, because anyone can get a certificate',
      'Set sslmode=verify-full',
    );
  if ((cert === undefined) !== (key === undefined))
    refuse('Only one of `sslcert` and `sslkey` is set', 'Set both or neither');
  if (setting('sslnegotiation') === 'direct' && (mode === undefined || !STRICT.includes(mode)))
    refuse('`sslnegotiation=direct` requires a mode that enforces encryption', 'Set sslmode=verify-full');
  return { mode, ca, cert, key };
}

/** Returns the mode of the URL, which may also use the driver's parameter `ssl`, else that of the environment. */
function modeOf(url: string): SslMode | undefined {
  const [sslmode, ssl] = [urlParameter(url, 'sslmode'), urlParameter(url, 'ssl')];
  if (sslmode !== undefined) return requireSslMode(sslmode, 'sslmode');
  if (ssl !== undefined) {
    if (/^(?:true|1)$/.test(ssl)) return 'verify-full';
    return /^(?:false|0)$/.test(ssl) ? 'disable' : requireSslMode(ssl, 'ssl');
  }
  const { PGSSLMODE } = process.env;
  return PGSSLMODE ? requireSslMode(PGSSLMODE, 'PGSSLMODE') : undefined;
}

/**
 * Returns the attempts to connect to a database.
 *
 * @throws {BackfillError} `USAGE` like {@link tlsSettings}, or if a file cannot be read
 */
export function tlsAttempts(address: PostgresAddress): TlsAttempts {
  const { mode, ca, cert, key } = tlsSettings(address);
  const host = hostOf(address);
  if (mode === undefined || mode === 'disable' || host.startsWith('/')) return [false]; // as in libpq, never on a socket
  const tls: ConnectionOptions = {
    ...(ca === undefined || ca === 'system' ? {} : { ca: readPem('sslrootcert', ca) }),
    ...(cert === undefined ? {} : { cert: readPem('sslcert', cert) }),
    ...(key === undefined ? {} : { key: readPem('sslkey', key) }),
    rejectUnauthorized: /^verify/.test(mode) || (ca !== undefined && mode !== 'no-verify'),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    host,
  };
  if (mode === 'allow') return [false, tls];
  return mode === 'prefer' ? [tls, false] : [tls];
}

function readPem(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BackfillError(
      'USAGE',
      msg('The file of `{parameter}`, {path}, cannot be read ({code})', {
        parameter,
        path,
        code: errnoOf(error),
      }),
      msg('Pass the path of a file that this user may read'),
      { cause: error },
    );
  }
}

/** Returns a warning if the connection to another machine is not, or may not be, encrypted. */
export function plaintextWarnings(address: PostgresAddress): Message[] {
  const host = hostOf(address);
  const { mode } = tlsSettings(address);
  if (THIS_MACHINE.test(host) || (mode !== undefined && STRICT.includes(mode))) return [];
  const fix = msg('add ?sslmode=verify-full to the URL, or set PGSSLMODE');
  return [
    mode === 'allow' || mode === 'prefer'
      ? msg(
          'The connection to {host} may not be encrypted, because sslmode is {mode}; others on the network could read and change its data: {fix}',
          { host, mode, fix },
        )
      : msg(
          'The connection to {host} is not encrypted; others on the network can read and change its data: {fix}',
          { host, fix },
        ),
  ];
}
