import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import { parse } from 'yaml';
import { bin, type CliResult, cleanEnv, root, runCommand, snapshotFiles, useFolder } from '../support/cli.js';
import { asAgentOs } from '../support/stores.js';

// What stands under examples/ is run as it stands, as far as this machine allows: the same files, the same command lines,
// on the example application with its packages installed.

const example = (...path: readonly string[]): string => join(root, 'examples', ...path);
const read = (...path: readonly string[]): string => readFileSync(example(...path), 'utf8');

describe('examples', () => {
  const folder = useFolder();
  let count = 0;
  let app = '';
  const store = (): string => join(app, 'shop.db');

  beforeEach(() => {
    count += 1;
    app = folder.file(`app-${count}`);
    cpSync(example('app'), app, { recursive: true });
    mkdirSync(join(app, 'node_modules/.bin'), { recursive: true });
    symlinkSync(root, join(app, 'node_modules/umzug-backfill'));
    symlinkSync(bin, join(app, 'node_modules/.bin/umzug-backfill'));
    new Database(store())
      .exec(`
        CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT, body TEXT, created_at TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500)
        INSERT INTO events (kind, body, created_at) SELECT 'order', '{"ts":"2026-01-20T10:00:00Z"}', '2026-01-21' FROM n`)
      .close();
  });

  const run = async (command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> => {
    const result = await runCommand(command, { cwd: app, env });
    expect(result.code, `${command.join(' ')}\n${result.stdout}${result.stderr}`).to.equal(0);
    return result;
  };
  const isFilled = (path = store()): boolean =>
    asAgentOs(path, (db) => {
      const sql = `SELECT count(*) = 500 AND min(ordered_at) = '2026-01-20T10:00:00Z' FROM events WHERE ordered_at IS NOT NULL`;
      return db.prepare(sql).pluck().get() === 1;
    });
  const hasColumn = (): boolean =>
    asAgentOs(store(), (db) => db.pragma('table_info(events)') as { name: string }[]).some(
      ({ name }) => name === 'ordered_at',
    );

  it('npm: `prestart` applies the schema, the server fills while it serves, and ends when it is told to', async () => {
    await run(['npm', 'run', 'prestart']);
    expect(hasColumn()).to.equal(true);
    expect(isFilled()).to.equal(false);
    const server = spawn(process.execPath, ['server.js'], {
      cwd: app,
      env: cleanEnv(app, { PORT: '0' }),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => server.once('exit', resolve));
    let said = '';
    await new Promise<void>((resolve, reject) => {
      server.once('exit', () => reject(new Error(`The server ended: ${said}`)));
      server.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.includes('ready on port') && said.includes('backfills done')) resolve();
      });
    });
    const answer = await fetch(`http://127.0.0.1:${/port (\d+)/.exec(said)?.[1]}/`);
    expect(await answer.text()).to.equal('ok\n');
    server.kill('SIGTERM');
    expect(await ended).to.equal(0);
    expect(isFilled()).to.equal(true);
  });

  it('systemd: the unit is sound, and what it runs first migrates', async () => {
    const unit = read('systemd', 'shop.service');
    const command = /^ExecStartPre=(.*)$/m.exec(unit)?.[1]?.replace('/opt/shop', app).split(' ') ?? [];
    await run(command, { SHOP_DB: store() });
    expect(isFilled()).to.equal(true);
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) {
      console.log('      the unit was not looked at: systemd-analyze is not installed');
      return;
    }
    const here = join(app, 'shop.service');
    const user = String(process.env.USER ?? 'root');
    writeFileSync(
      here,
      unit
        .replaceAll('/opt/shop', app)
        .replace('/usr/bin/node', process.execPath)
        .replace('User=shop', `User=${user}`),
    );
    const verdict = spawnSync('systemd-analyze', ['verify', here], { encoding: 'utf8' });
    expect(verdict.stderr.split('\n').filter((line) => line.includes('shop.service'))).to.deep.equal([]);
  });

  it('Docker: the entrypoint migrates, then becomes the command', async () => {
    const dockerfile = read('docker', 'Dockerfile');
    expect(dockerfile)
      .to.include('ENTRYPOINT ["docker-entrypoint.sh"]')
      .and.include('COPY docker-entrypoint.sh');
    const { stdout } = await run([example('docker', 'docker-entrypoint.sh'), 'echo', 'started'], {
      SHOP_DB: store(),
    });
    expect(stdout.trim().split('\n').at(-1)).to.equal('started');
    expect(isFilled()).to.equal(true);
  });

  it('Docker: with BACKFILLS=background it leaves them, and without a store it starts nothing', async () => {
    const entrypoint = example('docker', 'docker-entrypoint.sh');
    await run([entrypoint, 'true'], { SHOP_DB: store(), BACKFILLS: 'background' });
    expect(hasColumn()).to.equal(true);
    expect(isFilled()).to.equal(false);
    const refused = await runCommand([entrypoint, 'echo', 'started'], {
      cwd: app,
      env: { SHOP_DB: `${store()}-not` },
    });
    expect(refused.code).to.equal(1);
    expect(refused.stdout).not.to.include('started');
    expect(refused.stderr).to.include('STORE_MISSING');
  });

  it('Kubernetes: the init container migrates the store that the container gets', async () => {
    const { spec } = parse(read('kubernetes', 'deployment.yaml')).spec.template;
    const [init] = spec.initContainers;
    const [container] = spec.containers;
    for (const shared of ['env', 'volumeMounts', 'image'])
      expect(init[shared]).to.deep.equal(container[shared]);
    expect(spec.volumes.map(({ name }: { name: string }) => name)).to.include(init.volumeMounts[0].name);
    await run(init.command, { SHOP_DB: store() });
    expect(isFilled()).to.equal(true);
  });

  it('GitHub Actions: the steps say, do, and check', async () => {
    const { jobs } = parse(read('github-actions', 'deploy.yml'));
    const commands = (jobs.deploy.steps as { run?: string }[]).flatMap((step) => step.run ?? []);
    const ours = commands.filter((command) => command.includes('umzug-backfill'));
    expect(ours).to.have.length(3);
    const env = { SHOP_DB: store() };
    const before = snapshotFiles(store());
    const dry = await run(['sh', '-c', ours[0] ?? ''], env);
    expect(dry.stdout).to.include('500 rows');
    expect(snapshotFiles(store())).to.deep.equal(before);
    for (const command of ours.slice(1)) await run(['sh', '-c', command], env);
    expect(isFilled()).to.equal(true);
  });
});
