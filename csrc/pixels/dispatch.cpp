#include "dispatch.h"

#include <atomic>

#if defined(POSEMASK_X86_LEVELS)
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif

namespace posemask {

namespace portable {
extern const Kernels kernels;
}
#if defined(POSEMASK_X86_LEVELS)
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

namespace {

#if defined(POSEMASK_X86_LEVELS)

struct Registers {
    unsigned eax, ebx, ecx, edx;
};

Registers cpuid(unsigned leaf) {
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

bool all(unsigned word, unsigned bits) { return (word & bits) == bits; }

// Whether the system saves these registers when it changes threads.
bool system_saves(unsigned states) {
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

bool has_avx2() {
    constexpr unsigned sse_and_avx = 0x06, fma = 1u << 12, f16c = 1u << 29, bmi1 = 1u << 3, avx2 = 1u << 5,
                       bmi2 = 1u << 8;
    return system_saves(sse_and_avx) && all(cpuid(1).ecx, fma | f16c) && all(cpuid(7).ebx, bmi1 | avx2 | bmi2);
}

bool has_avx512() {
    constexpr unsigned sse_avx_and_avx512 = 0xe6, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    return has_avx2() && system_saves(sse_avx_and_avx512) && all(cpuid(7).ebx, f | dq | bw | vl);
}

#endif

std::vector<const Kernels*> find_tables() {
    std::vector<const Kernels*> tables = {&portable::kernels};
#if defined(POSEMASK_X86_LEVELS)
    if (has_avx2()) {
        tables.push_back(&avx2::kernels);
    }
    if (has_avx512()) {
        tables.push_back(&avx512::kernels);
    }
#endif
    return tables;
}

const std::vector<const Kernels*>& tables() {
    static const std::vector<const Kernels*> found = find_tables();
    return found;
}

std::atomic<const Kernels*>& selected() {
    static std::atomic<const Kernels*> table{tables().back()};
    return table;
}

}  // namespace

const Kernels& kernels() { return *selected().load(std::memory_order_relaxed); }

std::vector<std::string> available_levels() {
    std::vector<std::string> names;
    for (const Kernels* table : tables()) {
        names.emplace_back(table->name);
    }
    return names;
}

bool select_level(const std::string& name) {
    for (const Kernels* table : tables()) {
        if (name == table->name) {
            selected().store(table, std::memory_order_relaxed);
            return true;
        }
    }
    return false;
}

}  // namespace posemask
