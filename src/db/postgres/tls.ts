import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { BackfillError, errnoOf } from '../../errors.js';
import { msg } from '../../messages/message.js';
import { hostOf, nearest, type PostgresAddress, urlParameter } from './address.js';

// Encryption of connections. The values of `sslmode` mean what they mean to libpq. The driver reads them otherwise: to version 8,
// `require` is `verify-full` and `allow` too, and what it does not know is no encryption in the environment and `verify-full` in a URL.

/** Values of `sslmode`: those of libpq, and the driver's own `no-verify`. */
const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'] as const;
type SslMode = (typeof MODES)[number];

/** Modes that never go on without encryption. */
const STRICT: readonly SslMode[] = ['require', 'verify-ca', 'verify-full', 'no-verify'];

/** Parameters of a URL that this module reads in the driver's place. */
export const TLS_PARAMETERS = ['ssl', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const;

/** What is tried to connect, in this order; false: without encryption. */
export type TlsAttempts = readonly (ConnectionOptions | false)[];

/** This machine: the folder of a socket, `localhost`, or a loopback address. */
const THIS_MACHINE = /^(?:\/.*|localhost|(?:::ffff:)?127(?:\.\d+){3}|::1)$/i;

/**
 * Returns the mode that a text names.
 *
 * @param source the parameter or the variable that it comes from
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
    msg('Write {name}={value}', { name: source, value: meant }),
  );
}

/** How a connection is encrypted, as the URL says, else the environment. */
interface TlsSettings {
  /** Undefined where nothing asks for encryption: the driver then does without. */
  readonly mode: SslMode | undefined;
  /** Paths of files. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/**
 * Reads what a URL and the environment (`PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`) say of encryption. Of libpq's default
 * files in `~/.postgresql` none is read.
 *
 * @throws {BackfillError} `USAGE` if they contradict each other
 */
export function tlsSettings({ url }: PostgresAddress): TlsSettings {
  const setting = (name: string): string | undefined =>
    urlParameter(url, name) ?? (process.env[`PG${name.toUpperCase()}`] || undefined);
  const [ca, cert, key] = [setting('sslrootcert'), setting('sslcert'), setting('sslkey')];
  const mode = modeOf(url) ?? (ca === undefined && cert === undefined ? undefined : 'verify-full');
  const refuse = (message: string, hint: string): never => {
    throw new BackfillError('USAGE', message, hint);
  };
  if (urlParameter(url, 'sslmode') !== undefined && urlParameter(url, 'ssl') !== undefined)
    refuse('The URL of the database has both `ssl` and `sslmode`', 'Leave `ssl` out');
  if (mode === 'verify-ca' && ca === undefined)
    refuse(
      '`sslmode` is `verify-ca`, and `sslrootcert` does not say which authority is meant',
      'Write sslmode=verify-full, or add sslrootcert=FILE',
    );
  if (ca === 'system' && mode !== 'verify-full')
    refuse(
      'With `sslrootcert=system` anybody can have a certificate, so that its host counts',
      'Write sslmode=verify-full',
    );
  if ((cert === undefined) !== (key === undefined))
    refuse('One of `sslcert` and `sslkey` is given without the other', 'Give both, or none');
  if (setting('sslnegotiation') === 'direct' && (mode === undefined || !STRICT.includes(mode)))
    refuse(
      '`sslnegotiation=direct` needs a mode that does not go without encryption',
      'Write sslmode=verify-full',
    );
  return { mode, ca, cert, key };
}

/** The mode that the URL names, also by the driver's own parameter `ssl`, else the environment. */
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
 * Returns what is tried to connect to a database.
 *
 * @throws {BackfillError} `USAGE` as {@link tlsSettings}, or if a file can not be read
 */
export function tlsAttempts(address: PostgresAddress): TlsAttempts {
  const { mode, ca, cert, key } = tlsSettings(address);
  const host = hostOf(address);
  if (mode === undefined || mode === 'disable' || host.startsWith('/')) return [false]; // as libpq: none on a socket
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
      msg('The file of `{parameter}`, {path}, can not be read ({code})', {
        parameter,
        path,
        code: errnoOf(error),
      }),
      msg('Give the path of a file that this user may read'),
      { cause: error },
    );
  }
}

/** A sentence if a connection goes to another machine, and without encryption, or maybe so. */
export function plaintextWarnings(address: PostgresAddress): string[] {
  const host = hostOf(address);
  const { mode } = tlsSettings(address);
  if (THIS_MACHINE.test(host) || (mode !== undefined && STRICT.includes(mode))) return [];
  const fix = 'add ?sslmode=verify-full to the URL, or set PGSSLMODE';
  return [
    mode === 'allow' || mode === 'prefer'
      ? `The connection to ${host} may not be encrypted, as sslmode is ${mode}, and others on the way could read and change what it carries: ${fix}`
      : `The connection to ${host} is not encrypted, and others on the way can read and change what it carries: ${fix}`,
  ];
}
