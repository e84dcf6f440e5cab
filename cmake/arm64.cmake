# Builds for arm64 on any Debian machine: its cross compiler, the libraries of `scripts/deps.sh arm64`
# as the root to look in, qemu to run what comes out. Used by the preset arm64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

get_filename_component(WEIR_ROOT ${CMAKE_CURRENT_LIST_DIR}/../.cache/arm64-root ABSOLUTE)
set(CMAKE_SYSROOT ${WEIR_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# pkg-config: the other machine's files alone, with its root before their paths.
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${WEIR_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${WEIR_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${WEIR_ROOT}/usr/share/pkgconfig)

set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;${WEIR_ROOT})
