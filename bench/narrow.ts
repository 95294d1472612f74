import { join } from 'node:path';
import { type PostgresServer, withClient } from '../demo/postgres-server.js';
import { median, root, time } from './measure.js';
import { administer, onCopy, onServer } from './postgres-store.js';
import { compared, type Row } from './report.js';

/** Many narrow rows, which the database derives: what a batch costs besides the rows counts most. */

const ROWS = 2_000_000;

async function makeRows(server: PostgresServer): Promise<void> {
  await administer(server, 'CREATE DATABASE narrow');
  await withClient(server.url('narrow'), async (client) => {
    // 60 bytes: 24 of the header, 8 of the key, 28 of the text.
    await client.query('CREATE TABLE narrow (id bigint PRIMARY KEY, name text, label text)');
    await client.query(
      `INSERT INTO narrow SELECT n, substr(md5(n::text), 1, 27) FROM generate_series(1, ${ROWS}) AS n`,
    );
    await client.query('VACUUM (ANALYZE)');
  });
}

/** Measures a fill and a `down`, each against one UPDATE. */
export const narrowRows = (rounds: number): Promise<Row[]> =>
  onServer(async (server) => {
    await makeRows(server);
    const runs = { up: [] as number[], down: [] as number[], hand: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      await onCopy(server, 'narrow', async (url) => {
        const { output } = await time(process.execPath, [join(root, 'dist/bench/narrow-app.js'), url]);
        const { up, down } = JSON.parse(output) as { readonly up: number; readonly down: number };
        runs.up.push(up);
        runs.down.push(down);
      });
      await onCopy(server, 'narrow', async (url) => {
        const update = 'UPDATE narrow SET label = upper(left(name, 8)) WHERE label IS NULL';
        const args = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', update, url];
        runs.hand.push((await time(join(server.bin, 'psql'), args)).seconds);
      });
    }
    const of = (name: keyof typeof runs) => ({ seconds: median(runs[name]), cpu: Number.NaN });
    const what = `${ROWS.toLocaleString('en-US')} rows of 60 bytes, against one UPDATE`;
    return [
      compared(`fill by \`sql()\`, ${what}`, of('up'), of('hand'), { time: 1.5 }),
      compared(`its \`down\`, ${what}`, of('down'), of('hand'), { time: 1.5 }),
    ];
  });
