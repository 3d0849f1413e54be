#!/bin/sh
# Builds an ARM64 user land below FOLDER, for tests/farm/test_arm64.py, and prints its Python:
#
#     sh tests/arm64_root.sh FOLDER [SUITE] [MIRROR]
#     HWPRUNE_ARM64_PYTHON=FOLDER/python3 pytest -m heavy tests/farm/test_arm64.py
#
# As root, on Debian or its like with another processor. Needs debootstrap, qemu-user-static, a C compiler and pip;
# 400 MB of disk. Nothing outside FOLDER is changed: packages are unpacked and not set up, no
# program is registered with the kernel, and what is mounted is gone when its process ends.
set -eu

folder=$(mkdir -p "${1:?which FOLDER?}" && cd "$1" && pwd)
suite=${2:-bookworm}
root=$folder/root

for tool in debootstrap qemu-aarch64-static unshare chroot cc; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
[ ! -e "$root" ] || { echo "$root is there already" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "debootstrap and chroot need root" >&2; exit 1; }

# The second stage would run maintainer scripts, each under the emulator; files are enough here.
debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 "$suite" "$root" ${3:+"$3"} >&2
for package in "$root"/var/cache/apt/archives/*.deb; do
    # By tar, which follows the links of a merged /usr that dpkg-deb -x would replace.
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
done
rm -rf "$root"/var/cache/apt/archives/*.deb "$root/debootstrap"
# Inside a container debootstrap leaves a link to /proc there, which in the root leads to itself.
if [ -L "$root/proc" ]; then rm "$root/proc" && mkdir "$root/proc"; fi
cp "$(command -v qemu-aarch64-static)" "$root/usr/bin/qemu-aarch64-static"

version=$(basename "$(readlink -f "$root/usr/bin/python3")" | sed s/python//)
into() {
    python3 -m pip install --quiet --no-compile --only-binary=:all: --upgrade \
        --target "$root/usr/local/lib/python$version/dist-packages" \
        --implementation cp --python-version "$version" \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_24_aarch64 --platform manylinux_2_17_aarch64 \
        --platform manylinux2014_aarch64 "$@" >&2
}
into numpy onnx onnxruntime ncnn
# It asks for torch, which the program in it does not need.
into --no-deps pnnx
# A program that a program under the emulator starts must be this machine's own, and start another.
program=usr/local/lib/python$version/dist-packages/pnnx/pnnx
mv "$root/$program" "$root/$program.arm64"
cc -static -x c -o "$root/$program" - <<END
#include <unistd.h>
int main(int count, char **words) {
    char *all[count + 2];
    all[0] = "qemu", all[1] = "/$program.arm64";
    for (int n = 1; n <= count; n++) all[n + 1] = words[n];
    return execv("/usr/bin/qemu-aarch64-static", all);
}
END

# ONNX Runtime crashes at its import where an ARM program finds another processor's description, and
# qemu before 8.1 shows it that: here is one of the processor that qemu is told to be.
for processor in $(seq 0 $(($(nproc --all) - 1))); do
    cat <<END
processor	: $processor
BogoMIPS	: 100.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x0
CPU part	: 0xd08
CPU revision	: 3

END
done >"$folder/cpuinfo"

# /tmp is the machine's own: supervisors on both sides take turns on a core by files there.
cat >"$folder/python3" <<END
#!/bin/sh
export QEMU_CPU=cortex-a72
exec unshare --mount sh -c '
for place in proc sys dev tmp; do mount --rbind "/\$place" "$root/\$place"; done
mount --bind "$folder/cpuinfo" "$root/proc/cpuinfo"
exec chroot "$root" /usr/bin/qemu-aarch64-static /usr/bin/python3 "\$@"' python3 "\$@"
END
chmod 755 "$folder/python3"
"$folder/python3" -c 'import platform, numpy, onnx, onnxruntime, sys
assert platform.machine() == "aarch64", platform.machine()
print("Python", platform.python_version(), "numpy", numpy.__version__, "onnx", onnx.__version__,
      "onnxruntime", onnxruntime.__version__, "on", platform.machine(), file=sys.stderr)'
echo "$folder/python3"
