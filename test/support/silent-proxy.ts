import { startProxy } from '../../demo/silent-proxy.js';
import { endedAfterEach } from './cli.js';

/** Opens ways to a server that can become silent (demo/silent-proxy.ts); they are ended after each test. */
export const useSilentProxies = () => endedAfterEach(startProxy);
