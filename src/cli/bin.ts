#!/usr/bin/env node
import { runInProcess } from './process.js';

process.exitCode = await runInProcess(process.argv.slice(2));
