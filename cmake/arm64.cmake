# A build for 64-bit ARM on another machine, with Debian's cross compiler; programs run under qemu. On Debian, as root:
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install gcc-aarch64-linux-gnu qemu-user libgomp1:arm64 libjansson-dev:arm64 libyaml-dev:arm64 zlib1g-dev:arm64 \
#       libpcre2-dev:arm64 libutf8proc-dev:arm64 libcmocka-dev:arm64
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
# qemu remembers every page that a program reserves, and arenas reserve terabytes: 16 GiB are all there is
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -R 16G)
