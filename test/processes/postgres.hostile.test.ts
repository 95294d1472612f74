import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { afterEach, before, describe, it } from 'mocha';
import { expectRefusal, spawnCli } from '../support/cli.js';
import { untilLockWait } from '../support/lock-waits.js';
import { argsOn, useCopies } from '../support/postgres-runs.js';
import { needServer } from '../support/postgres-server.js';

// What a server may answer that the driver would never come to the end of, or throw at where nobody could catch it.

const sockets = new Set<Socket>();
const servers: Server[] = [];
const children: ChildProcess[] = [];

const keep = (socket: Socket): Socket => {
  sockets.add(socket);
  return socket.setNoDelay().on('error', () => undefined);
};

/** Opens a server that does this with each connection; returns its port. */
async function listen(answer: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => answer(keep(socket))).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Runs a command that is killed where it does not end. */
const run = (args: readonly string[]) =>
  spawnCli(args, {
    prefix: ['sh', '-c', 'echo begun >&2; exec "$0" "$@"'],
    onStderr: (_, child) => void children.push(child),
  });

describe('a hostile server', () => {
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL'); // a test has given it up
    for (const socket of sockets) socket.destroy();
    for (const server of servers.splice(0)) server.close();
  });

  describe('a message of a server that has no end', () => {
    /** The pieces in which one arrives. */
    const endless: Readonly<Record<string, readonly string[]>> = {
      'an error without a text': ['E\0\0\0\x04'],
      'an error whose text has no end': ['E\0\0\0\x0aSFATAL'],
      'an error whose list of texts has no end': ['E\0\0\0\x0bSFATAL\0'],
      'an error that comes in pieces': ['E\0', '\0\0', '\x0bSFA', 'TAL\0'],
      'a notice behind another message': ['R\0\0\0\x08\0\0\0\0N\0\0\0\x0bSFATAL\0'],
      'a notice behind a message that comes in pieces': ['S\0\0\0\x0da\0long', 'er\0N\0\0\0\x0bSFATAL', '\0'],
    };
    for (const [what, pieces] of Object.entries(endless))
      it(`is told as a server that can't be reached: ${what}`, async () => {
        const port = await listen((socket) => {
          socket.once('data', async () => {
            for (const piece of pieces) {
              socket.write(piece, 'latin1');
              await turn();
            }
          });
        });
        const result = await run(['status', '--database-url', `postgres://nobody@127.0.0.1:${port}/nothing`]);
        expectRefusal(result, 'STORE_UNREACHABLE', 1);
      });
  });

  describe('a message of a server that has an end', () => {
    const refused = (text: Buffer): Buffer => {
      const contents = Buffer.concat([Buffer.from('SFATAL\0C28P01\0M'), text, Buffer.alloc(2)]);
      const head = Buffer.from('E\0\0\0\0');
      head.writeUInt32BE(contents.length + 4, 1);
      return Buffer.concat([head, contents]);
    };
    const setting = Buffer.from('S\0\0\0\x08a\0b\0');

    it('is told as what it says where it comes byte by byte, behind others', async () => {
      const port = await listen((socket) => {
        socket.once('data', async () => {
          for (const byte of Buffer.concat([setting, setting, refused(Buffer.from('no'))])) {
            socket.write(Buffer.of(byte));
            await turn();
          }
        });
      });
      const result = await run(['status', '--database-url', `postgres://nobody@127.0.0.1:${port}/nothing`]);
      expect(expectRefusal(result, 'STORE_UNREACHABLE', 1).message).to.include('28P01');
    });

    it('is told as what it says where it is 48 MB long, before the time for the connection is over', async () => {
      const port = await listen((socket) => {
        socket.once('data', () => socket.write(refused(Buffer.alloc(48 << 20, 'x'))));
      });
      const result = await run(['status', '--database-url', `postgres://nobody@127.0.0.1:${port}/nothing`]);
      expect(expectRefusal(result, 'STORE_UNREACHABLE', 1).message).to.include('28P01');
    });
  });

  describe('what answers in the place of a server that is asked to cancel a statement', () => {
    const onCopy = useCopies({ audits: 10, run: ['up'] });
    before(function () {
      needServer(this);
    });

    it('does not end a command otherwise than its signal', () =>
      onCopy(async (copy) => {
        const other = await copy.connect();
        await other.query('BEGIN; LOCK TABLE task_audits IN ACCESS EXCLUSIVE MODE');
        let isTaken = false;
        const port = await listen((near) => {
          if (isTaken) return void near.write('R\0\0\0\x08\0\0\0\x63', 'latin1'); // an unknown kind of authentication
          const far = keep(connect(copy.server.port, copy.server.host));
          near.pipe(far).pipe(near);
        });
        const url = Object.assign(new URL(copy.url), { port: String(port) }).toString();
        const running = run(argsOn(url, 'status').slice(0, 3));
        await untilLockWait(copy.client);
        isTaken = true;
        children[0]?.kill('SIGTERM');
        expectRefusal(await running, 'TERMINATED', 143);
      }));
  });
});
