import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

// A way to a server on which, from one moment on, nothing comes through any more, and no end is seen either: a cable that was pulled.

/** Such a way under way. */
export interface SilentProxy {
  /** The same URL, on the way through it. */
  through(url: string): string;
  /** Connections that were taken so far. */
  taken(): number;
  /** Forwards nothing any more, and takes new connections without a word. */
  silence(): void;
  /** Ends all connections. */
  end(): Promise<void>;
}

/** Opens such a way to a server. */
export async function startProxy({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): Promise<SilentProxy> {
  const sockets = new Set<Socket>();
  let isSilent = false;
  let taken = 0;
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket
      .setNoDelay()
      .on('error', () => undefined)
      .on('close', () => sockets.delete(socket));
  };
  const proxy = createServer((near) => {
    taken += 1;
    keep(near);
    if (isSilent) return;
    const far = keep(connect(port, host));
    near.pipe(far).on('close', () => near.destroy());
    far.pipe(near).on('close', () => far.destroy());
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const own = (proxy.address() as AddressInfo).port;
  return {
    through: (url) => Object.assign(new URL(url), { port: String(own) }).toString(),
    taken: () => taken,
    silence() {
      isSilent = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    async end() {
      const closed = once(proxy, 'close');
      proxy.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
