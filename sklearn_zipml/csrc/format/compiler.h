/* What the C files need to know of the compiler: which instruction sets a function attribute can switch on. */
#ifndef ZML_COMPILER_H
#define ZML_COMPILER_H

#if defined(__GNUC__) || defined(__clang__)
#define ZML_INLINE static inline __attribute__((always_inline))
#define ZML_APART static __attribute__((noinline))
#define ZML_PREFETCH(address) __builtin_prefetch(address)
#define ZML_PREFETCH_FAR(address) __builtin_prefetch(address, 0, 2) /* into the second-level cache */
#define ZML_PREFETCH_TO_WRITE(address) __builtin_prefetch(address, 1)
#define ZML_LOWEST_BIT(x) ((unsigned)__builtin_ctzll(x)) /* number of the lowest one of 64 bits that are not all 0 */
#elif defined(_MSC_VER)
#include <intrin.h>
static __forceinline unsigned zml_lowest_bit(unsigned long long x) {
  unsigned long at;
  _BitScanForward64(&at, x);
  return at;
}
#define ZML_LOWEST_BIT(x) zml_lowest_bit(x)
#define ZML_INLINE static __forceinline
#define ZML_APART static __declspec(noinline)
#define ZML_PREFETCH(address) ((void)(address))
#define ZML_PREFETCH_FAR(address) ((void)(address))
#define ZML_PREFETCH_TO_WRITE(address) ((void)(address))
#else
static inline unsigned zml_lowest_bit(unsigned long long x) {
  unsigned at = 0;
  while (!(x >> at & 1))
    at++;
  return at;
}
#define ZML_LOWEST_BIT(x) zml_lowest_bit(x)
#define ZML_INLINE static inline
#define ZML_APART static
#define ZML_PREFETCH(address) ((void)(address))
#define ZML_PREFETCH_FAR(address) ((void)(address))
#define ZML_PREFETCH_TO_WRITE(address) ((void)(address))
#endif

/* What bodies that are compiled once per instruction set (*-inl.h) mark their functions with; ZML_TARGET, which says
 * for which one, is defined by the file that includes them. */
#define ZML_TARGET_INLINE ZML_INLINE ZML_TARGET

/* Keeps x in a register of 512 bits, and the compiler from knowing what it is; there are none where tests emulate them.
 */
#ifdef ZML_EMULATED_AVX512
#define ZML_KEEP(x) ((void)0)
#else
#define ZML_KEEP(x) __asm__("" : "+v"(x))
#endif

/* Bytes of a tile are taken as parts of words. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "sklearn_zipml needs a little-endian processor"
#endif

/* GCC 8 and clang 7 are the first that know AVX-512 VNNI and VBMI. */
#if defined(__x86_64__) && ((defined(__clang__) && __clang_major__ >= 7) || (!defined(__clang__) && __GNUC__ >= 8))
#define ZML_HAS_X86 1
#else
#define ZML_HAS_X86 0
#endif

/* Its kernels take a third of the compiler's time: builds for tests on this machine alone may do without. */
#if ZML_HAS_X86 && !defined(ZML_WITHOUT_AVX512)
#define ZML_HAS_AVX512 1
#else
#define ZML_HAS_AVX512 0
#endif

#if defined(__aarch64__) && !defined(__AARCH64EB__) && defined(__GNUC__)
#define ZML_HAS_NEON 1
#else
#define ZML_HAS_NEON 0
#endif

#endif
