import { register } from 'tsx/esm/api';

// Loaded by `node --import`, which threads inherit: so a thread that the code starts in a test is read as TypeScript, too.
register();
