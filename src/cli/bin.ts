#!/usr/bin/env node
import { runInProcess } from './main.js';

process.exitCode = await runInProcess(process.argv.slice(2));
