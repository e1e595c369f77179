#!/bin/sh
# The organisers' command beside the systemd units: the same settings, secrets and account. As /usr/local/bin/events.
set -eu

config=/etc/events
program=/opt/events/.venv/bin/events
data=/var/lib/events

if [ "$(id -u)" != 0 ]; then
    echo "events: run it as root, by sudo: it reads the secrets in $config, then becomes the account 'events'" >&2
    exit 1
fi
# Where it is called from may be closed to the account, and a .env there is nothing of the service's.
if ! cd "$data"; then
    echo "events: no data folder yet: start the service once, by systemctl" >&2
    exit 1
fi

set -a
EVENTS_DATA_DIR=$data
if [ -f "$config/events.env" ]; then . "$config/events.env"; fi
set +a
for name in SECRET_KEY DATABASE_URL BROKER_URL SMTP_URL IMAP_URL API_TOKEN; do
    file=$config/$(echo "$name" | tr A-Z_ a-z-)
    if [ -s "$file" ]; then export "EVENTS_$name=$(cat "$file")"; fi
done
umask 077
exec setpriv --reuid events --regid events --clear-groups --no-new-privs "$program" "$@"
