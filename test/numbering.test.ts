import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { expectRefusal, runCli } from './support/cli.js';
import { useNewProject } from './support/new-project.js';

const project = useNewProject();
const now = new Date('2026-11-25T14:03:09.123Z');

beforeEach(() =>
  project.write(
    'umzug-backfill.config.mjs',
    `import { defineConfig } from 'umzug-backfill';
export default defineConfig({ database: { path: 'store.db' }, steps: ['steps'] });`,
  ),
);

/** Says what `create` would write beside these steps. */
function create(steps: readonly string[], name: string) {
  for (const step of steps) project.write(`steps/${step}.mjs`, '');
  return runCli(['create', name, '--dry-run', '--json'], { cwd: project.path, now: () => now });
}

describe('the name of a new step', () => {
  for (const [steps, expected] of [
    [[], '001-x'],
    [['003-a', '001-b'], '004-x'],
    [['9-a'], '91-x'],
    [['99-a'], '991-x'],
    [['001_a'], '002_x'],
    [['v021-1-a', 'v021-2-b'], 'v021-3-x'],
    [['20250101120000-a'], '20261125140309-x'],
    [['20270101120000-a'], '20270101120001-x'],
    [['202501011200_a'], '202611251403_x'],
    [['20250101-a'], '20261125-x'],
    [['20261125-a'], '20261125-x'],
    [['20261125-y'], '20261126-x'],
    [['1700000000000-a'], '1795615389123-x'],
    [['1700000000-a'], '1795615389-x'],
    [['2025.01.01T12.00.00.a'], '2026.11.25T14.03.09.x'],
    [['2026.12.01T12.00.00.a'], '2026.12.01T12.00.01.x'],
    [['orders'], 'x'],
  ] as const) {
    it(`is ${expected} after ${steps.join(', ') || 'none'}`, async () => {
      const { step } = (await create(steps, 'x')).json();
      expect(step).to.equal(expected);
      expect(step > ([...steps].sort().at(-1) ?? '')).to.equal(true);
    });
  }
});

describe('the name of a step without its number', () => {
  for (const [step, expected] of [
    ['001-order-times', 'order-times'],
    ['v021-2-decision-fields', 'decision-fields'],
    ['20261125140309_x2', 'x2'],
    ['2026.11.25T14.03.09.orders', 'orders'],
    ['orders', 'orders'],
    ['v2-orders', 'orders'],
    ['views', 'views'],
  ] as const) {
    it(`is ${expected} of ${step}: there is no second one`, async () => {
      const { message } = expectRefusal(await create([step], expected), 'FILE_EXISTS', 1);
      expect(message).to.include(`${step}.mjs`);
    });
  }
});
