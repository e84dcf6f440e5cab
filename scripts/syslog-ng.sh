#!/usr/bin/env bash
# Prints the path of a program that runs syslog-ng: unpacked from Debian's packages into .cache, for installing it
# would remove rsyslog.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$PWD/.cache/syslog-ng
run=$dir/run
if [ ! -x "$run" ]; then
    mkdir -p "$dir/deb"
    (cd "$dir/deb" && apt-get download -qq syslog-ng-core libivykis0 libnet1 libwrap0 libnsl2 libtirpc3 libpcre3 \
        libjson-c5 libglib2.0-0 libcap2 >&2)
    for deb in "$dir"/deb/*.deb; do dpkg-deb -x "$deb" "$dir/root"; done
    libs=$(find "$dir/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
    modules=$(dirname "$(find "$dir/root" -name 'libsyslogformat.so')")
    cat >"$run.new" <<END
#!/bin/sh
LD_LIBRARY_PATH=$libs exec $dir/root/usr/sbin/syslog-ng --module-path=$modules "\$@"
END
    chmod +x "$run.new"
    mv "$run.new" "$run"
fi
echo "$run"
