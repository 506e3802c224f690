# On stdout a tar of Python's standard library and what it is linked against: run in a workstation's image.
set -e
root=$(mktemp -d)
version=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/etc" "$root/tmp" "$root/proc" "$root/sys" "$root/dev"
ln -s usr/bin usr/lib "$root/" && ln -s usr/lib "$root/lib64"
cp /usr/bin/$version "$root/usr/bin/" && ln -s $version "$root/usr/bin/python3"
cp -r /usr/lib/$version "$root/usr/lib/"
rm -rf "$root/usr/lib/$version/"{test,idlelib,lib2to3,pydoc_data,distutils,ensurepip} "$root/usr/lib/$version/"config-* 2>/dev/null || true
find "$root" -name __pycache__ -prune -exec rm -rf {} +
ldd /usr/bin/$version /usr/lib/$version/lib-dynload/*.so | grep -o '/[^ ]*' | grep -v : | sort -u | while read -r file; do
	mkdir -p "$root$(dirname "$file")"
	cp -L "$file" "$root$file"
done
printf 'root:x:0:0::/:/bin/sh\n' >"$root/etc/passwd"
chmod 1777 "$root/tmp"
tar -C "$root" --numeric-owner -c .
