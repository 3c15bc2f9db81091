#!/bin/sh
# Installs what the tests start: PostgreSQL, Redis, Ceph's S3 gateway, Chromium, and curl and jq for the examples. Changes
# nothing where they are.
set -eu

PACKAGES="postgresql redis-server radosgw ceph-mon ceph-osd curl jq fonts-liberation"

installed() {
    for program in redis-server radosgw radosgw-admin ceph ceph-mon ceph-osd monmaptool setpriv curl jq; do
        command -v "$program" >/dev/null || return 1
    done
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || return 1
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

if installed; then exit 0; fi
if ! command -v apt-get >/dev/null; then
    echo "The tests need PostgreSQL, Redis, Ceph's radosgw, Chromium, curl and jq, which this script installs on Debian and Ubuntu only." >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "The tests need servers that are not installed. Type: sudo scripts/install_test_servers.sh" >&2
    exit 1
fi

# Debian asks this file whether a package may start its service: the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Ubuntu's has another name.
if apt-cache show chromium >/dev/null 2>&1; then PACKAGES="$PACKAGES chromium"; else PACKAGES="$PACKAGES chromium-browser"; fi
echo "Installing what the tests start: $PACKAGES"
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $PACKAGES >/dev/null
