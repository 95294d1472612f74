import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type PostgresServer, startServer, withClient } from './postgres-server.js';

// A server of PostgreSQL that can encrypt, and authorities of its own.

/** Whether certificates can be made here. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Makes certificates in a folder; paths without `.crt` and `.key`. */
export function certificatesIn(folder: string) {
  const run = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' });
    expect(status, stderr).to.equal(0);
  };
  return {
    /** An authority: a certificate that has signed itself. */
    authority(name: string): string {
      run('req', '-x509', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=${name}`);
      return join(folder, name);
    },
    /** A certificate that an authority has signed. */
    signed(
      name: string,
      { by, names = '', days = 1 }: { by: string; names?: string; days?: number },
    ): string {
      run('req', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      writeFileSync(join(folder, 'names'), names === '' ? '' : `subjectAltName=${names}\n`);
      const signing = ['-CA', `${by}.crt`, '-CAkey', `${by}.key`, '-CAcreateserial', '-extfile', 'names'];
      run('x509', '-req', '-in', `${name}.csr`, ...signing, '-days', String(days), '-out', `${name}.crt`);
      return join(folder, name);
    },
  };
}

export interface TlsServer {
  readonly server: PostgresServer;
  /** Has it show another certificate from now on. */
  shows(certificate: string): Promise<void>;
}

/**
 * Starts a server that shows a certificate and knows an authority. It lets a user `encrypted` in only with encryption, `plain` only
 * without, and `certified` only with a certificate of that name; all three are superusers.
 */
export async function startTlsServer(certificate: string, authority: string): Promise<TlsServer> {
  const server = await startServer({ settings: { listen_addresses: '127.0.0.1,::1' } });
  const { dataFolder } = server;
  const { uid, gid } = statSync(dataFolder);
  const put = (from: string, name: string): void => {
    const path = join(dataFolder, name);
    copyFileSync(from, path);
    chownSync(path, uid, gid);
    chmodSync(path, 0o600);
  };
  const reload = (...sql: readonly string[]): Promise<unknown> =>
    withClient(server.url('postgres'), async (client) => {
      for (const statement of [...sql, 'SELECT pg_reload_conf()']) await client.query(statement);
    });
  const putBoth = (path: string): void => {
    put(`${path}.crt`, 'server.crt');
    put(`${path}.key`, 'server.key');
  };
  putBoth(certificate);
  put(`${authority}.crt`, 'root.crt');
  const rules = join(dataFolder, 'pg_hba.conf');
  const own = [
    'hostnossl all encrypted all reject',
    'hostssl all plain all reject',
    'hostssl all certified all cert',
    'hostnossl all certified all reject',
  ];
  writeFileSync(rules, `${own.join('\n')}\n${readFileSync(rules, 'utf8')}`);
  await reload(
    'CREATE ROLE encrypted LOGIN SUPERUSER',
    'CREATE ROLE plain LOGIN SUPERUSER',
    'CREATE ROLE certified LOGIN SUPERUSER',
    `ALTER SYSTEM SET ssl_ca_file = 'root.crt'`,
    'ALTER SYSTEM SET ssl = on',
  );
  const shows = async (path: string): Promise<void> => {
    putBoth(path);
    await reload();
  };
  return { server, shows };
}
