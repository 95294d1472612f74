// The parts of a scan that another thread makes, in a file that the thread can load by its name, whatever the modules are bundled into.
export { makeFollower, makePass } from './scan.js';
