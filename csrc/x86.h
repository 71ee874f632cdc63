// Which of the instruction sets that the kernels are compiled for an x86 processor and its system can run.
#pragma once

#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace posemask {
namespace x86 {

struct Registers {
    unsigned eax, ebx, ecx, edx;
};

inline Registers cpuid(unsigned leaf) {
    Registers r = {};
#if defined(_MSC_VER)
    int words[4];
    __cpuid(words, 0);
    if (static_cast<unsigned>(words[0]) < leaf) {
        return r;
    }
    __cpuidex(words, static_cast<int>(leaf), 0);
    r = {static_cast<unsigned>(words[0]), static_cast<unsigned>(words[1]), static_cast<unsigned>(words[2]),
         static_cast<unsigned>(words[3])};
#else
    __get_cpuid_count(leaf, 0, &r.eax, &r.ebx, &r.ecx, &r.edx);
#endif
    return r;
}

inline bool all(unsigned word, unsigned bits) { return (word & bits) == bits; }

// Whether the system saves these registers when it changes threads.
inline bool system_saves(unsigned states) {
    constexpr unsigned osxsave = 1u << 27;
    if (!all(cpuid(1).ecx, osxsave)) {
        return false;
    }
#if defined(_MSC_VER)
    const unsigned saved = static_cast<unsigned>(_xgetbv(0));
#else
    unsigned saved, upper;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
#endif
    return all(saved, states);
}

inline bool has_avx2() {
    constexpr unsigned sse_and_avx = 0x06, fma = 1u << 12, f16c = 1u << 29, bmi1 = 1u << 3, avx2 = 1u << 5,
                       bmi2 = 1u << 8;
    return system_saves(sse_and_avx) && all(cpuid(1).ecx, fma | f16c) && all(cpuid(7).ebx, bmi1 | avx2 | bmi2);
}

inline bool has_avx512() {
    constexpr unsigned sse_avx_and_avx512 = 0xe6, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    return has_avx2() && system_saves(sse_avx_and_avx512) && all(cpuid(7).ebx, f | dq | bw | vl);
}

}  // namespace x86
}  // namespace posemask
