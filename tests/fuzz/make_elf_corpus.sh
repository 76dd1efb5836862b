#!/bin/bash
# Makes corpus/dumpsyms: small ELF files with every shape of debug information that gcc, objcopy and
# dwz give. The results are committed; run it again to add a shape.
#
# Needs gcc, g++, binutils, dwz, xz-utils. usage: tests/fuzz/make_elf_corpus.sh
set -euo pipefail
out=$(cd "$(dirname "$0")" && pwd)/corpus/dumpsyms
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
cd "$work"

cat >s.c <<'C'
static inline __attribute__((always_inline)) int twice(int x) { return x * 2 + 1; }
static __attribute__((noinline)) int deep(int n, int (*f)(int)) { return n ? twice(f(n - 1)) : 3; }
__attribute__((noreturn, cold)) void stop(void) { for (;;) { __asm__ volatile("" ::: "memory"); } }
int entry(int n, int (*f)(int))
{
    volatile int local[n > 0 ? n : 1];
    if (n == 7) { stop(); }
    local[0] = deep(n, f);
    return twice(local[0]) + twice(n);
}
C
cat >s.cc <<'C'
namespace shop { namespace {
template <typename T> struct Box { T v; T get(T d) const { return v > d ? v : d; } };
struct Base { virtual int price(int n) { return n; } int k = 1; };
struct Cake : Base { int price(int n) override { Box<int> b{n}; return b.get(k) * 3; } };
} int sell(int n) { Cake c; Base *b = &c; return b->price(n) + [&](int x) { return x + n; }(n); } }
extern "C" int entry(int n) { return shop::sell(n) + shop::sell(n + 1); }
void operator delete(void *, unsigned long) {}
C
cat >s.S <<'S'
    .text
    .globl entry
    .type entry, @function
entry: .cfi_startproc
    push %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    .cfi_remember_state
    .cfi_escape 0x10, 0x03, 0x02, 0x77, 0x08
    pop %rbp
    .cfi_restore_state
    .cfi_undefined %rip
    ret
    .cfi_endproc
    .size entry, .-entry
S
link="-nostdlib -Wl,-z,noseparate-code -Wl,-z,norelro -Wl,--no-eh-frame-hdr -fcf-protection=none"
make_one() { # NAME COMPILER SOURCE FLAGS...
    local name=$1 cc=$2 source=$3
    shift 3
    # shellcheck disable=SC2086 # a list of options
    $cc -g -O2 -fPIC -shared $link -ffile-prefix-map="$work"=/b "$@" -o "$out/$name" "$source"
}
make_one c4 gcc s.c -gdwarf-4
make_one c5 gcc s.c -gdwarf-5
make_one c3 gcc s.c -gdwarf-3 -gstrict-dwarf
make_one c64 gcc s.c -gdwarf-5 -gdwarf64
make_one csection gcc s.c -ffunction-sections -Wl,--gc-sections -Wl,-e,entry
make_one czlib gcc s.c -gz=zlib
make_one czdebug gcc s.c -gz=zlib-gnu -gdwarf-4
make_one cframe gcc s.c -fno-asynchronous-unwind-tables -fno-unwind-tables
make_one cnoid gcc s.c -Wl,--build-id=none -Wl,-soname,libs.so.1
make_one cstatic gcc s.c -static -no-pie -fno-pic -Wl,-e,entry
make_one cc4 g++ s.cc -fno-exceptions -fno-rtti -gdwarf-4 -fdebug-types-section
make_one cc5 g++ s.cc -fno-exceptions -fno-rtti -gdwarf-5
make_one cchash gcc s.c -Wl,--hash-style=sysv -gno-as-locview-support -gno-variable-location-views
make_one asm gcc s.S
make_one plt gcc s.c -Wl,-z,lazy -Wl,--unresolved-symbols=ignore-all -fplt
! command -v dwz >/dev/null || dwz -o "$out/dwz" "$out/cc4"
objcopy --only-keep-debug "$out/c5" "$out/onlydebug"
cp "$out/c5" stripped
strip stripped
objcopy --add-gnu-debuglink="$out/onlydebug" stripped "$out/debuglink"
objcopy -S --remove-section .comment "$out/onlydebug" mini
nm "$out/c5" | awk '{ print $3 }' | sort -u >keep
objcopy -S --keep-symbols=keep "$out/onlydebug" mini
xz -k mini
objcopy --add-section .gnu_debugdata=mini.xz stripped "$out/minidebug"
if echo 'int x;' | gcc -m32 -c -x c -o /dev/null - 2>/dev/null; then
    make_one c32 gcc s.c -m32
fi
chmod 644 "$out"/*
ls -l "$out"
