#!/bin/sh
# Brings the store up to date, then becomes the command. A container that can not do so does not start.
set -e
npx --no-install umzug-backfill deploy --backfills "${BACKFILLS:-wait}" --log-level warn
exec "$@"
