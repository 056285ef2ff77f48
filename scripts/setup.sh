# SPDX-License-Identifier: Apache-2.0
# Copyright The Driveline authors
#
# Sourced by ./demo and ./check: makes sure that Debian's packages are there. POSIX sh; on a minimal
# system there is neither make nor ps nor sudo. The caller sets `program` and stands in the root folder.

# Debian's own tools before any others of the same name (a python3 of pyenv has none of its modules).
PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
# A minimal system has no locale but C; our texts and folder names may be UTF-8.
LC_ALL=C.UTF-8
export PATH LC_ALL

say() {
        printf '%s: %s\n' "$program" "$*"
}

die() {
        printf '%s: %s\n' "$program" "$*" >&2
        exit 1
}

# since START: the seconds since START, which /proc/uptime said.
since() {
        awk -v start="$1" '{ printf "%.1f", $1 - start }' /proc/uptime
}

# Free space below which we say so before anything fails half-way: MiB, folder.
need_space() {
        free=$(df -Pk -- "$2" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
        [ -z "$free" ] || [ "$free" -ge "$1" ] ||
                die "the disk with $2 has $free MB free and $1 MB are needed: free some and start ./$program again"
}

# Words of the package lists given.
list_packages() {
        sed 's/#.*//' "$@" | tr '\n' ' '
}

# Prints the packages among its arguments that aren't installed.
missing_packages() {
        for package; do
                case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
                installed) ;;
                *) printf '%s ' "$package" ;;
                esac
        done
}

# True if apt's lists, which may be missing or lack some sources, are enough for these packages.
apt_knows() {
        apt-get install -s -qq --no-install-recommends "$@" >/dev/null 2>&1
}

# Runs apt-get as root; on a terminal with a count in one line. What apt says goes to $apt_log.
as_root_apt() {
        set -- env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 \
                -o Acquire::Languages=none -o DPkg::Lock::Timeout=120 "$@"
        [ "$(id -u)" = 0 ] || set -- sudo $sudo_options "$@"
        if [ ! -t 1 ]; then
                "$@" >"$apt_log" 2>&1 </dev/null
                return
        fi
        status_file=$apt_log.status
        {
                "$@" -o APT::Status-Fd=3 3>&1 >"$apt_log" 2>&1 </dev/null && : >"$status_file"
        } | while IFS=: read -r kind _ percent _; do
                case $kind in
                dlstatus) printf '\r%s: fetching   %3.0f %% ' "$program" "$percent" ;;
                pmstatus) printf '\r%s: installing %3.0f %% ' "$program" "$percent" ;;
                esac
        done
        printf '\r\033[K'
        [ -f "$status_file" ] && rm -f -- "$status_file"
}

apt_failed() {
        if grep -q -i 'no space left' "$apt_log"; then
                die "the disk is full: free about 1 GB and start ./$program again"
        elif grep -q -i 'could not get lock\|unable to acquire' "$apt_log"; then
                die "another program is installing packages: wait for it and start ./$program again"
        elif grep -q -i 'temporary failure resolving\|could not connect\|failed to fetch' "$apt_log"; then
                die "cannot reach the Debian mirror: check the network and start ./$program again"
        elif grep -q 'Unable to locate package\|has no installation candidate' "$apt_log"; then
                die "$(sed -n 's/^E: //p' "$apt_log" | head -n 1): Debian 12 (bookworm, main) is needed in apt's sources"
        fi
        die "$1 failed: $(grep '^E: ' "$apt_log" | head -n 1) (try: $apt_line)"
}

# These packages start a service of their own; Driveline starts what it needs itself and wants nothing
# listening that it didn't declare. Only where the package is about to be installed by us.
keep_services_off() {
        [ -d /run/systemd/system ] || return 0
        [ "$(id -u)" = 0 ] && as_root= || as_root="sudo $sudo_options"
        for service in mosquitto postgresql rabbitmq-server; do
                case " $* " in
                *" $service "*) ;;
                *) continue ;;
                esac
                [ ! -e "/etc/systemd/system/$service.service" ] || continue
                $as_root ln -s /dev/null "/etc/systemd/system/$service.service" &&
                        say "the system's own service $service stays off (systemctl unmask $service undoes it)"
        done
}

# need_packages LIST…: installs what is missing of the lists, or ends with one line that says what to do.
need_packages() {
        command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
                die "this is no Debian system: Debian 12 is needed"
        # shellcheck disable=SC2046 # lists of words, here and below
        missing=$(missing_packages $(list_packages "$@"))
        missing=${missing% }
        [ -n "$missing" ] || return 0
        set -- $missing

        apt_line="apt-get install --no-install-recommends $missing"
        sudo_options=
        if [ "$(id -u)" != 0 ]; then
                command -v sudo >/dev/null || die "needs root once, for missing packages; as root: $apt_line"
                [ -t 0 ] || sudo_options=-n
                sudo $sudo_options true 2>/dev/null || die "needs root once, for missing packages; run: sudo $apt_line"
        fi
        need_space 1000 /var/cache/apt
        apt_log=$(mktemp "${TMPDIR:-/tmp}/driveline-apt.XXXXXX") ||
                die "cannot write to ${TMPDIR:-/tmp}: make room or set TMPDIR"
        trap 'rm -f -- "$apt_log" "$apt_log.status"' EXIT
        trap 'exit 130' INT TERM

        if ! apt_knows "$@"; then
                say "reading Debian's package lists …"
                as_root_apt update || apt_failed "apt-get update"
        fi
        say "installing $# packages and what they need …"
        read -r start _ </proc/uptime
        keep_services_off "$@"
        if ! apt_install "$@"; then
                # Lists that are older than the mirror name versions that are gone.
                as_root_apt update || apt_failed "apt-get update"
                apt_install "$@" || apt_failed "apt-get install"
        fi
        say "installed ($(since "$start") s)"
        rm -f -- "$apt_log" "$apt_log.status"
        trap - EXIT INT TERM
}

# --force-unsafe-io: no fsync for every file; a crash half-way would only mean installing again.
apt_install() {
        as_root_apt install --no-install-recommends -o Dpkg::Options::=--force-unsafe-io \
                -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@"
}

# The folder with the build must take files.
need_writable_build() {
        mkdir -p build 2>/dev/null && [ -w build ] ||
                die "cannot write to $PWD: use a folder of your own, or own it: chown -R $(id -un) ."
        need_space "$1" "$PWD/build"
}
