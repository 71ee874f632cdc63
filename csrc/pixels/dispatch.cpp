#include "dispatch.h"

#include <atomic>

#if defined(POSEMASK_X86_LEVELS) && defined(_MSC_VER)
#include <intrin.h>
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

#if defined(POSEMASK_X86_LEVELS) && defined(_MSC_VER)
// The processor's own answer, and whether the system saves the registers (AVX: bits 1 and 2 of XCR0, AVX-512: 5 to 7 as well).
bool has(int leaf, int word, unsigned bits) {
    int words[4];
    __cpuidex(words, leaf, 0);
    return (static_cast<unsigned>(words[word]) & bits) == bits;
}
bool saves(unsigned long long states) { return has(1, 2, 1u << 27) && (_xgetbv(0) & states) == states; }
bool has_avx2() { return saves(0x06) && has(1, 2, 1u << 12 | 1u << 29) && has(7, 1, 1u << 3 | 1u << 5 | 1u << 8); }
bool has_avx512() { return has_avx2() && saves(0xe6) && has(7, 1, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31); }
#elif defined(POSEMASK_X86_LEVELS)
bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

std::vector<const Kernels*> find_tables() {
    std::vector<const Kernels*> tables = {&portable::kernels};
#if defined(POSEMASK_X86_LEVELS)
    if (has_avx2()) tables.push_back(&avx2::kernels);
    if (has_avx512()) tables.push_back(&avx512::kernels);
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
    for (const Kernels* table : tables()) names.emplace_back(table->name);
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
