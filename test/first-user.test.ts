import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { root } from './support/cli.js';

// AgentOS is the first user, and data handed to the package by a config: the package itself knows nothing of it.

describe('src', () => {
  it('names neither AgentOS nor what is its own', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    );
    expect(files.length).to.be.above(150);
    const named = files.filter((name) =>
      /agentos|task_audits|supervisor|decision|source_event_ts/i.test(
        readFileSync(join(root, 'src', name), 'utf8'),
      ),
    );
    expect(named).to.deep.equal([]);
  });
});
