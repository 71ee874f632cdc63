#include "dispatch.h"

#include <atomic>

#if defined(POSEMASK_X86_LEVELS)
#include "../x86.h"
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

std::vector<const Kernels*> find_tables() {
    std::vector<const Kernels*> tables = {&portable::kernels};
#if defined(POSEMASK_X86_LEVELS)
    if (x86::has_avx2()) {
        tables.push_back(&avx2::kernels);
    }
    if (x86::has_avx512()) {
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
