import { createServer } from 'node:http';
import { startBackfills } from 'umzug-backfill';

// `prestart` has applied the schema and left the backfills: they run on a thread of their own, while this one serves.
const backfills = startBackfills();
backfills.done.then(
  ({ applied, caughtUp }) => console.log('backfills done', [...applied, ...caughtUp]),
  ({ code, message, hint }) => {
    if (code !== 'TERMINATED') console.error(`${code}: ${message}. ${hint}`); // stopped below, and resumed with the next start
  },
);

const server = createServer((_request, response) => response.end('ok\n'));
server.listen(process.env.PORT ?? 8080, () => console.log('ready on port', server.address().port));

process.once('SIGTERM', async () => {
  server.close();
  await backfills.stop(); // behind the batch under way; the next start goes on there
});
