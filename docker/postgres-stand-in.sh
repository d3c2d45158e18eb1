#!/bin/sh
# Makes the database where the volume is empty, as the public image does, then becomes the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # its arguments are several words
  # shellcheck disable=SC2086
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust $POSTGRES_INITDB_ARGS >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  # by its socket alone: nobody is let in before it is whole
  pg_ctl --silent --wait --options="-c listen_addresses='' -c unix_socket_directories=/tmp" start >/dev/null
  createdb --host=/tmp --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl --silent --wait --mode=fast stop
fi
# podman with runc gives a memory file system in /run the mode of root's, whatever the compose file says; /tmp it does not
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
