// Chooses the kernels for the machine that the program runs on.
#include <cstdlib>
#include <cstring>

#include "plan.h"

#if defined(ENGINE_X86)
#include "../x86.h"
#endif

namespace engine {

extern const Kernels portable;
#if defined(ENGINE_X86)
extern const Kernels avx2;
extern const Kernels avx512;
#endif

const Kernels& best_kernels() {
#if defined(ENGINE_X86)
  const char* asked = std::getenv("POSEMASK_ISA");
  const auto allowed = [asked](const char* name) {
    return !asked || !*asked || std::strcmp(asked, name) == 0 ||
           (std::strcmp(asked, "avx512") == 0 && std::strcmp(name, "avx2") == 0);
  };
  if (posemask::x86::has_avx512() && allowed("avx512")) return avx512;
  if (posemask::x86::has_avx2() && allowed("avx2")) return avx2;
#endif
  return portable;
}

}  // namespace engine
