#!/bin/sh
# Brings the store up to date, then becomes the command. A container that can not do so does not start.
set -e
node_modules/.bin/umzug-backfill deploy --backfills "${BACKFILLS:-wait}" --log-level warn &
deploy=$!
trap 'kill -TERM $deploy; wait $deploy; exit $?' TERM INT # a shell passes no signal on by itself
wait $deploy
trap - TERM INT
exec "$@"
