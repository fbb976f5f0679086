#!/bin/sh
# Make the root filesystem that the example builds in, from Debian packages: a shell and a C compiler.
# usage: make-toolchain.sh DIR
set -eu
target=$1
[ ! -e "$target/etc/toolchain" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt-get -qq update
(cd "$work" && apt-get -qq download busybox-static libc6 libcrypt1 libtcc-dev musl-dev tcc 2>/dev/null)
mkdir -p "$work/root/etc" "$work/root/tmp" "$work/root/bin"
for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done

# Debian's static busybox is in /bin or /usr/bin, depending on the release.
busybox=$(cd "$work/root" && ls bin/busybox usr/bin/busybox 2>/dev/null | head -n 1)
for tool in sh cat mkdir basename ls cp rm; do ln -sf "/$busybox" "$work/root/bin/$tool"; done

# `cc`: tcc against musl, so that what it makes is static and needs nothing at run time.
machine=$(uname -m)
cat >"$work/root/bin/cc" <<CC
#!/bin/sh
musl=/usr/lib/$machine-linux-musl
tcc="tcc -nostdinc -nostdlib -I/usr/include/$machine-linux-musl"
for word in "\$@"; do
  [ "\$word" != -c ] || exec \$tcc "\$@"
done
exec \$tcc -static \$musl/crt1.o \$musl/crti.o "\$@" \$musl/libc.a \
  /usr/lib/$machine-linux-gnu/tcc/libtcc1.a \$musl/crtn.o
CC
chmod 755 "$work/root/bin/cc"
echo "busybox, tcc, musl" >"$work/root/etc/toolchain"
mkdir -p "$(dirname "$target")"
rm -rf "$target"
mv "$work/root" "$target"
chmod 755 "$target"
