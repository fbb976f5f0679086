#!/bin/sh
# Make the root filesystem that the example builds in, from Debian packages: a shell and a C compiler.
# usage: make-toolchain.sh DIR
set -eu
target=$1
# What is there was made by this very script, or it is made anew.
stamp="busybox, tcc, musl: $(sha256sum <"$0" | cut -c -64)"
[ "$(cat "$target/etc/toolchain" 2>/dev/null)" != "$stamp" ] || exit 0
echo "downloading a shell and a C compiler from Debian into $target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

# Everything is root's own already, so there is no need for apt's other user.
apt() { apt-get -qq -o APT::Sandbox::User="$(id -un)" "$@"; }
ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1 || apt update
(cd "$work" && apt download busybox-static libc6 libcrypt1 libtcc-dev musl-dev tcc)

# One layout for all releases: since Debian 13 packages have nothing outside of /usr.
root=$work/root
mkdir -p "$root/etc" "$root/tmp"
for name in bin lib lib64 sbin; do mkdir -p "$root/usr/$name" && ln -s "usr/$name" "$root/$name"; done
for package in "$work"/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
done
for tool in sh cat mkdir basename ls cp rm; do ln -sf busybox "$root/bin/$tool"; done

# `cc`: tcc against musl, so that what it makes is static and needs nothing at run time.
machine=$(uname -m)
cat >"$root/bin/cc" <<CC
#!/bin/sh
musl=/usr/lib/$machine-linux-musl
tcc="tcc -nostdinc -nostdlib -I/usr/include/$machine-linux-musl"
for word in "\$@"; do
  [ "\$word" != -c ] || exec \$tcc "\$@"
done
exec \$tcc -static \$musl/crt1.o \$musl/crti.o "\$@" \$musl/libc.a \
  /usr/lib/$machine-linux-gnu/tcc/libtcc1.a \$musl/crtn.o
CC
chmod 755 "$root/bin/cc"

# A tree that compiles nothing is not kept.
if [ "$(id -u)" = 0 ]; then
  echo 'int main(void) { return 0; }' >"$root/tmp/try.c"
  chroot "$root" /bin/sh -c 'cd /tmp && cc -o try try.c && ./try && rm try try.c'
fi
echo "$stamp" >"$root/etc/toolchain"
mkdir -p "$(dirname "$target")"
rm -rf "$target"
mv "$root" "$target"
chmod 755 "$target"
